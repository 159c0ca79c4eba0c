"""Task: bring a git workspace up to date."""

from __future__ import annotations

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import task_run

from agent.domain.checkout import Checkout
from agent.domain.events import Warned, emit
from agent.domain.request import AgentRequest
from tasks.agent_run.context import current_run, step
from tasks.retry_policy import is_retryable

RETRIES = 2


@task(
    name="git_sync",
    retries=RETRIES,
    retry_delay_seconds=[0.5, 2],
    retry_condition_fn=is_retryable,
    cache_policy=NO_CACHE,
    persist_result=False,
)
@step
async def git_sync(request: AgentRequest) -> Checkout:
    """Return a clean checkout of the request's workspace at its newest commit.

    If the remote does not answer, the last attempt returns the last good state and warns, unless the workspace or the
    request is strict. A resumed run keeps its checkout. Raises WorkspaceError.
    """
    run = current_run()
    logger = get_run_logger()
    if run.resumption is not None:
        checkout = run.resumption.checkout
        run.record_checkout(checkout)
        logger.info("the workspace is as the agent left it, from %s on", checkout.snapshot.commit)
        return checkout
    last_attempt = (task_run.run_count or 1) > RETRIES
    allow_stale = last_attempt and not request.strict_workspace
    if run.early_start is not None and (task_run.run_count or 1) == 1:
        checkout = await run.early_start.checkout()
    else:
        checkout = await run.runtime.prepare(run.slot, request, str(run.run_id), allow_stale=allow_stale)
    run.record_checkout(checkout)
    logger.info("workspace %s at %s (%s)", checkout.snapshot.workspace, checkout.snapshot.commit, checkout.snapshot.ref)
    if checkout.snapshot.stale:
        warning = f"the workspace is not up to date: {checkout.snapshot.stale_reason}"
        logger.warning("%s", warning)
        emit(Warned(text=warning))
    return checkout
