"""Builds the outcome of a run that failed, was cancelled or was suspended."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Literal

from prefect import State
from prefect.states import AwaitingRetry

from agent.claude.result_message import read_result
from agent.domain.errors import AgentError, EndedBadly
from agent.domain.events import Ended
from agent.domain.request import AgentRequest
from agent.domain.result import AgentResult, Invocation, Outcome
from agent.system.text import shorten_cause
from tasks.agent_run.context import RunContext, current_run

CANCELLED = "cancelled"
"""The error of a cancelled run."""


def conclude(result: AgentResult) -> Outcome:
    """Return the outcome of a run that ended well, and give it to the caller who waits.

    A run that was cancelled a moment before stays cancelled.
    """
    return _tell(Outcome(result=result, error=CANCELLED if current_run().is_cancelled else None))


def conclude_early(run: RunContext, request: AgentRequest, invocation: Invocation) -> None:
    """Tell whoever waits a good ending as soon as it is said, while the process still exits.

    What is kept of the run is what it comes to then. An answer that has to satisfy a schema is looked at first.
    """
    if request.json_schema is None and not run.cancellation.asked and not run.outcome.done():
        with suppress(EndedBadly):
            run.outcome.set_result(Outcome(result=read_result(request, invocation)))


def conclude_failure(request: AgentRequest, failure: Exception | asyncio.CancelledError) -> Outcome:
    """Return the outcome of a run that failed or was cancelled, with the result that the agent gave before.

    A cancellation is taken back from the asyncio task, so that `publish` can be awaited.
    """
    match failure:
        case EndedBadly():
            return _tell(Outcome(result=failure.result, error=str(failure)))
        case AgentError():
            return _tell(Outcome(error=str(failure)))
        case Exception():
            return _tell(Outcome(error=shorten_cause(f"internal error: {type(failure).__name__}: {failure}")))
        case _:
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            return _tell(Outcome(result=_given(request), error=CANCELLED))


def put_off(failure: AgentError) -> State[Any] | None:
    """Return the state of a run that is to start later: the provider rejected it before the agent did anything."""
    run = current_run()
    if run.invocation is None or run.invocation.acted or run.is_cancelled or not isinstance(failure, EndedBadly):
        return None
    refusal = run.invocation.refusal
    until = run.retry_at(refusal)
    if until is None:
        return None
    whose = "this run's calls" if refusal is not None and refusal.scope != "everybody" else "all calls"
    return AwaitingRetry(scheduled_time=until, message=f"the provider rejects {whose}: {failure}")


def end_journal(run: RunContext, outcome: Outcome) -> None:
    """Write the last event of the run to the journal. The outcome must be stored already."""
    result = outcome.result
    ended = Ended(status=status_of(outcome), error=outcome.error, cost_usd=result.cost_usd if result else None)
    run.record_end(outcome)
    run.store.journal.append(run.run_id, ended.type, ended.model_dump_json())


def status_of(outcome: Outcome) -> Literal["completed", "failed", "timeout", "error"]:
    """Return the status of the run in one word."""
    if outcome.error is None:
        return "completed"
    if outcome.result is None or outcome.error == CANCELLED:
        return "error"
    return "timeout" if outcome.result.ending in ("timeout", "stalled") else "failed"


def _given(request: AgentRequest) -> AgentResult | None:
    """Return the result of an invocation that was cut off, None if there was none."""
    invocation = current_run().invocation
    if invocation is None:
        return None
    try:
        return read_result(request, invocation)
    except EndedBadly as error:
        return error.result


def _tell(outcome: Outcome) -> Outcome:
    future = current_run().outcome
    if not future.done():
        future.set_result(outcome)
    return outcome
