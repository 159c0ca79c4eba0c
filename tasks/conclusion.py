"""What a run comes to, told to whoever waits for it."""

from __future__ import annotations

import asyncio

from agent.errors import AgentError, EndedBadly
from agent.models import AgentRequest, AgentResult, Outcome
from agent.outcome import judge
from tasks.context import current_run


def conclude(result: AgentResult) -> Outcome:
    """Tell the good ending."""
    return _tell(Outcome(result=result))


def conclude_failure(request: AgentRequest, failure: AgentError | asyncio.CancelledError) -> Outcome:
    """Tell the bad ending, with whatever the agent gave before it.

    A cancellation is taken back from the asyncio task, so that what is still to be done can be awaited.
    """
    match failure:
        case EndedBadly():
            return _tell(Outcome(result=failure.result, error=str(failure)))
        case AgentError():
            return _tell(Outcome(error=str(failure)))
        case _:
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            return _tell(Outcome(result=_given(request), error="cancelled"))


def _given(request: AgentRequest) -> AgentResult | None:
    """The result of an invocation that was cut off, if there was one."""
    invocation = current_run().invocation
    if invocation is None:
        return None
    try:
        return judge(request, invocation)
    except EndedBadly as error:
        return error.result


def _tell(outcome: Outcome) -> Outcome:
    future = current_run().outcome
    if not future.done():
        future.set_result(outcome)
    return outcome
