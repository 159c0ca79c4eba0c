"""Invokes the agent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.tasks import exponential_backoff

from agent.claude.result_message import raise_if_overloaded
from agent.claude.turn import Content
from agent.domain.checkout import Checkout
from agent.domain.events import bound, emit
from agent.domain.request import AgentRequest
from agent.domain.result import Invocation
from agent.runtime import Opened
from tasks.agent_run.context import RunContext, current_run, step
from tasks.agent_run.event_sinks import to_journal, to_log
from tasks.agent_run.outcome import conclude_early
from tasks.agent_run.progress import AgentProgress
from tasks.agent_run.resumption import carry_on
from tasks.progress_artifact import shown_live
from tasks.retry_policy import is_retryable


@task(
    name="invoke_agent",
    retries=2,
    retry_delay_seconds=exponential_backoff(2),
    retry_condition_fn=is_retryable,
    cache_policy=NO_CACHE,
    persist_result=False,
)
@step
async def invoke_agent(request: AgentRequest, content: Content, checkout: Checkout) -> Invocation:
    """Run the agent once in `checkout`, each of its steps a line in the run's log.

    Tried again only while the agent has done nothing: it could not start, or the provider was overloaded before the
    first word. Raises AgentError.
    """
    run = current_run()
    progress = AgentProgress(request)
    with bound(to_log(get_run_logger())), bound(to_journal(run.store.journal, run.run_id)), bound(progress.sink):
        async with (
            shown_live(progress.look),
            _opened(run, request, checkout) as opened,
            run.runtime.conversing(str(run.run_id), opened, request, checkout, emit) as conversation,
        ):
            said = carry_on(content) if run.resumption else content
            try:
                await conversation.hold(said, on_result=partial(conclude_early, run, request))
            finally:
                run.invocation = conversation.invocation
    raise_if_overloaded(request, run.invocation)
    return run.invocation


@asynccontextmanager
async def _opened(run: RunContext, request: AgentRequest, checkout: Checkout) -> AsyncIterator[Opened]:
    """The process that was started ahead of the first attempt, or one that is started now."""
    ahead = await run.head_start.opened(checkout) if run.head_start is not None else None
    if ahead is not None:
        yield ahead
        return
    async with run.runtime.opened(
        str(run.run_id),
        request,
        run.slot,
        checkout,
        session_id=run.resumption.session_id if run.resumption else None,
        is_kept=(lambda: run.is_parting) if run.can_part else None,
    ) as opened:
        yield opened
