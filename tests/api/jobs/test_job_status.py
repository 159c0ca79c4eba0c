"""Prefect has many states; a job has five."""

from typing import Any

import pytest
from fake_host import result
from prefect.client.schemas.objects import State, StateType
from prefect.states import (
    AwaitingRetry,
    Cancelled,
    Cancelling,
    Completed,
    Crashed,
    Failed,
    Late,
    Paused,
    Pending,
    Retrying,
    Running,
    Scheduled,
)

from agent.domain.result import Outcome
from api.jobs.status import is_final, job_status

RAN = Outcome(result=result())
NEVER_RAN = Outcome(error="agent 'x' not found")
TIMED_OUT: State[Any] = State(type=StateType.FAILED, name="TimedOut")


@pytest.mark.parametrize(
    "state", [Scheduled(), Late(), AwaitingRetry(), Pending(), Running(), Retrying(), Paused(), Cancelling(), None]
)
def test_whatever_may_still_end_well_is_running(state: State[Any] | None) -> None:
    assert job_status(state, None) == "running"
    assert not is_final(state)


@pytest.mark.parametrize(
    ("state", "outcome", "status"),
    [
        (Completed(), RAN, "completed"),
        (Completed(), None, "completed"),
        (Failed(), RAN, "failed"),
        (Failed(), NEVER_RAN, "error"),
        (Failed(), None, "error"),
        (TIMED_OUT, RAN, "timeout"),
        (TIMED_OUT, None, "timeout"),
        (Crashed(), RAN, "error"),
        (Crashed(), None, "error"),
        (Cancelled(), RAN, "error"),
        (Cancelled(), None, "error"),
    ],
)
def test_final_states_say_how_it_ended(state: State[Any], outcome: Outcome | None, status: str) -> None:
    assert job_status(state, outcome) == status
    assert is_final(state)


def test_every_type_of_state_has_a_status() -> None:
    statuses = {job_status(State(type=kind), None) for kind in StateType}
    assert statuses == {"running", "completed", "error"}
