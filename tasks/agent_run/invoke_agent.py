"""Task: run the agent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.tasks import exponential_backoff

from agent.claude.result_message import raise_if_overloaded
from agent.claude.turn import Content
from agent.domain.checkout import Checkout
from agent.domain.events import bound, emit
from agent.domain.request import AgentRequest
from agent.domain.result import Invocation
from agent.runtime import StartedProcess
from tasks.agent_run.context import RunContext, current_run, step
from tasks.agent_run.event_sinks import to_journal, to_log
from tasks.agent_run.outcome import conclude_early
from tasks.agent_run.progress import AgentProgress
from tasks.agent_run.resumption import with_resume_note
from tasks.items.files import describe_files, place_files
from tasks.progress_artifact import shown_live
from tasks.retry_policy import is_retryable

FILES = "attachments"
"""The directory of the files of a request, in the agent's directory for temporary files."""


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
    """Run the agent once in `checkout`; each of its steps is a line in the run's log.

    Retried only while the agent has done nothing: it could not start, or the provider was overloaded before the
    first answer. Raises AgentError.
    """
    run = current_run()
    progress = AgentProgress(request)
    with bound(to_log(get_run_logger())), bound(to_journal(run.store.journal, run.run_id)), bound(progress.sink):
        async with (
            shown_live(progress.look),
            _process(run, request, checkout) as started,
            run.runtime.start_turn(str(run.run_id), started, request, checkout, emit) as turn,
        ):
            said = with_resume_note(content) if run.resumption else content
            if request.files_id is not None:
                said = await _with_files(run, request.files_id, started, said)
            try:
                await turn.run(said, on_result=partial(conclude_early, run, request))
            finally:
                run.record_invocation(turn.invocation)
    raise_if_overloaded(request, turn.invocation)
    return turn.invocation


async def _with_files(run: RunContext, files_id: str, started: StartedProcess, content: Content) -> Content:
    """Place the files of the request, and say in the prompt where the agent finds them."""
    files = await place_files(run.store, files_id, started.private.tmp / FILES)
    seen_at = Path("/tmp") if run.runtime.sandbox.probe.bubblewrap is not None else started.private.tmp
    note = describe_files(files, seen_at / FILES)
    return f"{content}\n\n{note}" if isinstance(content, str) else [*content, {"type": "text", "text": note}]


@asynccontextmanager
async def _process(run: RunContext, request: AgentRequest, checkout: Checkout) -> AsyncIterator[StartedProcess]:
    """Yield the process that was started ahead of the first attempt, or one that is started now."""
    ahead = await run.early_start.opened(checkout) if run.early_start is not None else None
    if ahead is not None:
        yield ahead
        return
    async with run.runtime.start_process(
        str(run.run_id),
        request,
        run.slot,
        checkout,
        session_id=run.resumption.session_id if run.resumption else None,
        is_kept=run.is_kept,
    ) as started:
        yield started
