"""Maps Prefect states to job statuses."""

from __future__ import annotations

from typing import Literal

from prefect.client.schemas.objects import State, StateType

from agent.domain.result import Outcome

JobStatus = Literal["running", "completed", "failed", "timeout", "error"]


def job_status(state: State | None, outcome: Outcome | None) -> JobStatus:
    """Return the status of a run in `state` with `outcome`; a state that is not final is `running`."""
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
    """True if a run in `state` stays in it."""
    return job_status(state, None) != "running"
