"""The phase of a job beside its status, and the reason why it waits."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from fake_host import FakeHost
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import (
    AwaitingRetry,
    Cancelled,
    Cancelling,
    Completed,
    Crashed,
    Failed,
    Paused,
    Pending,
    Running,
    Scheduled,
)

from api.jobs.phase import Phase, Waiting, job_phase
from api.jobs.status import job_status

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def described(host: FakeHost, state: State[Any], **capacity: Any) -> tuple[Phase, Waiting | None]:
    run = FlowRun(id=uuid4(), flow_id=uuid4(), state=state)
    return job_phase(run, replace(host.capacity(), **capacity), NOW)


@pytest.mark.parametrize(
    ("state", "phase", "status"),
    [
        (Scheduled(scheduled_time=NOW), "queued", "running"),
        (Pending(), "working", "running"),
        (Running(), "working", "running"),
        (Cancelling(), "working", "running"),
        (Completed(), "completed", "completed"),
        (Failed(), "failed", "error"),
        (Failed(name="TimedOut"), "timed_out", "timeout"),
        (Cancelled(), "cancelled", "error"),
        (Crashed(), "crashed", "error"),
    ],
)
def test_the_phase_is_exact_where_the_status_keeps_to_five_words(
    host: FakeHost, state: State[Any], phase: str, status: str
) -> None:
    assert described(host, state) == (phase, None)
    assert job_status(state, None) == status


def test_a_job_for_later_says_when(host: FakeHost) -> None:
    phase, waiting = described(host, Scheduled(scheduled_time=LATER))
    assert (phase, waiting and waiting.until) == ("scheduled", "2026-01-02T13:00:00+00:00")


def test_a_job_that_is_held_says_why_and_until_when(host: FakeHost) -> None:
    due = Scheduled(scheduled_time=NOW)
    assert described(host, due, paused=frozenset({"agents"}))[0] == "held"
    phase, waiting = described(host, due, held_until=LATER, held_reason="the provider refuses the key")
    assert (phase, waiting) == ("held", Waiting(reason="the provider refuses the key", until=LATER.isoformat()))
    phase, waiting = described(host, due, is_disk_low=True)
    assert phase == "held"
    assert waiting is not None
    assert "disk" in waiting.reason


def test_a_job_without_a_slot_says_so(host: FakeHost) -> None:
    phase, waiting = described(host, Scheduled(scheduled_time=NOW), free=0)
    assert (phase, waiting and waiting.reason) == ("queued", "all 2 slots of the host are in use")


def test_a_job_that_is_tried_again_says_why_and_when(host: FakeHost) -> None:
    state = AwaitingRetry(scheduled_time=LATER, message="the provider refuses the key")
    phase, waiting = described(host, state)
    assert (phase, waiting) == ("waiting", Waiting(reason="the provider refuses the key", until=LATER.isoformat()))


def test_a_suspended_job_waits(host: FakeHost) -> None:
    assert described(host, Paused(name="Suspended"))[0] == "waiting"
