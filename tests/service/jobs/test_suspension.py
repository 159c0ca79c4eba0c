"""Runs that a host leaves in the middle: which, and what becomes of them when it is back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, State, StateType

from agent.domain.checkout import Checkout, Snapshot
from agent.domain.result import AgentResult
from agent.pool.slots import Slot, Slots
from agent.sandbox.run_directory import RunDirectory
from deployments.host.run_records import RunRecord, RunRecords
from deployments.worker.resumption import MAX_STARTS, Resumptions
from tasks.agent_run.context import RunContext, running
from tasks.agent_run.outcome import CANCELLED, conclude
from tasks.agent_run.resumption import suspend

NOW = datetime.now(UTC)
RESULT = AgentResult(started_at=NOW, finished_at=NOW, exit_code=0, output=[], stderr="", text="done")


@pytest.fixture
async def run(tmp_path: Path) -> Any:
    nothing: Any = None
    slot = Slot(index=0, directory=tmp_path)
    return RunContext(run_id=uuid4(), runtime=nothing, store=nothing, slot=slot, can_suspend=True)


async def test_an_agent_that_was_through_when_its_host_stopped_has_completed(run: RunContext) -> None:
    run.suspend()
    with running(run):
        assert conclude(RESULT).error is None
    assert not run.is_cancelled


async def test_who_cancels_a_run_that_was_to_be_carried_on_has_it_ended(run: RunContext) -> None:
    run.suspend()
    run.cancel()
    with running(run):
        assert suspend() is None
        assert conclude(RESULT).error == CANCELLED


@pytest.mark.parametrize("first", ["cancelled", "not to be carried on"])
async def test_a_run_that_is_to_end_anyway_is_not_left(run: RunContext, first: str) -> None:
    if first == "cancelled":
        run.cancel()
    else:
        run.can_suspend = False
    run.suspend()
    assert not run.is_suspending
    assert run.is_cancelled == (first == "cancelled")


class LonelyHost:
    """What `Resumptions` knows of a host; Prefect is told, and believes, whatever it is told."""

    def __init__(self, directory: Path) -> None:
        self.records = RunRecords(directory)
        self.runtime = SimpleNamespace(
            run_directory=lambda run_id: RunDirectory(directory=directory / "runs" / run_id),
            slots=Slots(1, directory / "slots"),
        )
        self.prefect = self
        self.told: list[str | None] = []
        self.flow_run = FlowRun(
            id=uuid4(),
            flow_id=uuid4(),
            deployment_id=uuid4(),
            run_count=1,
            parameters={"request": {"on_crash": "resume"}},
            state=State(type=StateType.RUNNING),
        )

    async def set_flow_run_state(self, run_id: Any, state: State[Any], force: bool) -> None:
        self.told.append(state.name)

    async def read_flow_run(self, run_id: Any) -> FlowRun:
        return self.flow_run


@pytest.fixture
def host(tmp_path: Path) -> Any:
    """A host that was killed while an agent was at work."""
    host = LonelyHost(tmp_path)
    snapshot = Snapshot(workspace="default", ref="main", commit="0" * 40, fetched_at=NOW, mirror=tmp_path)
    checkout = Checkout(path=tmp_path, snapshot=snapshot)
    host.records.write(host.flow_run.id, RunRecord(slot=0, checkout=checkout, run_count=1))
    sessions = host.runtime.run_directory(str(host.flow_run.id)).config / "projects" / "x"
    sessions.mkdir(parents=True)
    (sessions / f"{uuid4()}.jsonl").touch()
    return host


async def test_it_goes_on_in_its_slot_before_anybody_else_has_it(host: Any) -> None:
    resumptions = Resumptions(host)
    assert await resumptions.resume(host.flow_run)
    assert host.told == ["Pending"]
    assert [use.slot.index for _, use in resumptions.take_slots()] == [0]
    assert resumptions.take(host.flow_run.id) is not None
    assert host.runtime.slots.free == 0
    assert host.records.read(host.flow_run.id).run_count == 2


async def test_one_that_another_host_has_begun_since_is_left_to_it(host: Any) -> None:
    host.flow_run.run_count = 2
    resumptions = Resumptions(host)
    assert await resumptions.resume(host.flow_run)
    assert host.told == resumptions.take_slots() == host.records.left_behind() == []


async def test_one_whose_agent_had_not_begun_is_done_anew(host: Any) -> None:
    host.records.write(host.flow_run.id, RunRecord(slot=0, run_count=1))
    resumptions = Resumptions(host)
    assert await resumptions.resume(host.flow_run)
    assert (host.told, resumptions.take_slots(), host.runtime.slots.free) == (["AwaitingRetry"], [], 1)


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": {"request": {"on_crash": "fail"}}},
        {"state": State(type=StateType.COMPLETED)},
        {"state": State(type=StateType.CANCELLING)},
        {"deployment_id": None},
        {"run_count": MAX_STARTS},
    ],
)
async def test_what_is_not_to_go_on_is_left_to_be_settled(host: Any, change: dict[str, Any]) -> None:
    flow_run = host.flow_run.model_copy(update=change)
    resumptions = Resumptions(host)
    assert not await resumptions.resume(flow_run)
    assert host.told == resumptions.take_slots() == []
