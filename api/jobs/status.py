"""The five words that a job's callers know, for the many states that Prefect does."""

from __future__ import annotations

from typing import Literal

from prefect.client.schemas.objects import State, StateType

from agent.domain.result import Outcome

JobStatus = Literal["running", "completed", "failed", "timeout", "error"]


def job_status(state: State | None, outcome: Outcome | None) -> JobStatus:
    """The status of a run in `state` that came to `outcome`; anything not final is running."""
    match state:
        case State(type=StateType.COMPLETED):
            return "completed"
        case State(type=StateType.FAILED, name="TimedOut"):
            return "timeout"
        case State(type=StateType.FAILED):
            return "failed" if outcome is not None and outcome.result is not None else "error"
        case State(type=StateType.CRASHED | StateType.CANCELLED):
            return "error"
    return "running"


def is_final(state: State | None) -> bool:
    """Whether a run in `state` stays there."""
    return job_status(state, None) != "running"
