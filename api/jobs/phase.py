"""Phase: the exact state of a job beside its `status`, and the reason why it does not move."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from prefect.client.schemas.objects import FlowRun, State, StateType
from pydantic import BaseModel, Field

from agent.system.text import shorten_cause
from deployments.telemetry.capacity import HostCapacity

Phase = Literal[
    "scheduled",
    "queued",
    "held",
    "working",
    "waiting",
    "completed",
    "failed",
    "cancelled",
    "timed_out",
    "crashed",
]


class Waiting(BaseModel):
    """The reason why a job does not move, and until when."""

    reason: str
    until: str | None = Field(default=None, description="ISO 8601 with offset; null if that is not known.")


def job_phase(run: FlowRun, capacity: HostCapacity, now: datetime) -> tuple[Phase, Waiting | None]:
    """Return the phase of a run, and the reason if it waits; `capacity` is this host's."""
    match run.state:
        case State(type=StateType.COMPLETED):
            return "completed", None
        case State(type=StateType.FAILED, name=name):
            return "timed_out" if name == "TimedOut" else "failed", None
        case State(type=StateType.CRASHED):
            return "crashed", None
        case State(type=StateType.CANCELLED):
            return "cancelled", None
        case State(type=StateType.PAUSED) as state:
            return "waiting", Waiting(reason=_reason(state, "suspended; it is resumed when its host is back"))
        case State(type=StateType.SCHEDULED) as state:
            return _before_start(run, state, capacity, now)
        case None:
            return "queued", None
    return "working", None


def iso(moment: datetime | None) -> str:
    """Return the moment as ISO 8601 with offset, in the same form on each route; empty for None."""
    return moment.astimezone(UTC).isoformat() if moment else ""


def _before_start(run: FlowRun, state: State, capacity: HostCapacity, now: datetime) -> tuple[Phase, Waiting | None]:
    hold = _hold(capacity)
    due = state.state_details.scheduled_time or run.next_scheduled_start_time or run.expected_start_time
    if state.name == "AwaitingRetry" or run.run_count:
        until = iso(due) if due and due > now else None
        return "waiting", hold or Waiting(reason=_reason(state, "it is tried again"), until=until)
    if due is not None and due > now:
        return "scheduled", Waiting(reason="it starts at its time", until=iso(due))
    if hold is not None:
        return "held", hold
    if capacity.free == 0:
        return "queued", Waiting(reason=f"all {capacity.slots} slots of the host are in use")
    return "queued", None


def _hold(capacity: HostCapacity) -> Waiting | None:
    """Return the host's reason to start no agent, if there is one."""
    if "agents" in capacity.paused:
        return Waiting(reason="agents are paused; POST /resume starts them again")
    if capacity.held_until is not None:
        return Waiting(reason=capacity.held_reason, until=iso(capacity.held_until))
    if capacity.is_disk_low:
        return Waiting(reason="disk space is low where the service writes")
    return None


def _reason(state: State, otherwise: str) -> str:
    return shorten_cause(state.message) if state.message else otherwise
