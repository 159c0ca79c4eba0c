"""What nobody will ask for any more is removed, and nothing else."""

from __future__ import annotations

import os
import time
from pathlib import Path
from uuid import uuid4

import pytest

from agent.domain.checkout import Checkout, Identity
from agent.settings import AgentSettings
from agent.workspaces.workspaces import Workspaces
from demo.repository import create_repository
from deployments.host.run_records import RunRecord, RunRecords
from deployments.maintenance.state_cleanup import StateCleanup, truncate_log

TEMPORARY = ".given.json.4242.0a1b2c3d"


@pytest.fixture
def workspaces(tmp_path: Path) -> Workspaces:
    origin = create_repository(tmp_path / "repository")
    return Workspaces(AgentSettings(state_dir=tmp_path / "state", workspace_dir=str(origin)))


@pytest.fixture
def leftovers(workspaces: Workspaces) -> StateCleanup:
    return StateCleanup(workspaces, RunRecords(workspaces.settings.state_dir), capacity=1)


def made(path: Path, *, old: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix or path.name.startswith("."):
        path.write_text("x")
    else:
        (path / "tmp").mkdir(parents=True)
    if old:
        yesterday = time.time() - 86_400
        os.utime(path, (yesterday, yesterday))
    return path


def test_directories_of_dead_runs_go_and_those_of_others_stay(leftovers: StateCleanup) -> None:
    runs = leftovers.workspaces.settings.state_dir / "runs"
    dead = made(runs / str(uuid4()))
    young = made(runs / str(uuid4()), old=False)
    foreign = made(runs / "not-a-run")
    at_work, parted = uuid4(), uuid4()
    leftovers.records.running.add(at_work)
    leftovers.records.write(parted, RunRecord(slot=0, run_count=1))
    spared = [made(runs / str(run_id)) for run_id in (at_work, parted)]
    assert leftovers.remove_files() == 1
    assert not dead.exists()
    assert all(path.exists() for path in (young, foreign, *spared))


def test_files_that_were_never_finished_go_but_none_of_a_checkout(leftovers: StateCleanup) -> None:
    state_dir = leftovers.workspaces.settings.state_dir
    half = [made(state_dir / place / TEMPORARY) for place in ("host", "host/runs", "mirrors", "slots/0")]
    fresh = made(state_dir / "host" / ".id.4242.0a1b2c3e", old=False)
    others = [made(state_dir / "slots/0/checkout" / TEMPORARY), made(state_dir / "host" / ".hidden")]
    assert leftovers.remove_files() == 4
    assert not any(path.exists() for path in half)
    assert all(path.exists() for path in (fresh, *others))


async def test_a_slot_past_the_capacity_goes_once_its_work_is_kept(leftovers: StateCleanup) -> None:
    workspaces = leftovers.workspaces
    snapshot = await workspaces.sync()
    slots = [workspaces.settings.state_dir / "slots" / name for name in ("0", "1")]
    for slot in slots:
        checkout = await workspaces.checkout(slot, snapshot, Identity(run_id=f"run-{slot.name}"))
        (checkout / "work.txt").write_text("work\n")
    await leftovers.vacate_slots()
    assert [slot.exists() for slot in slots] == [True, False]
    assert [kept.run_id for kept in await workspaces.kept()] == ["run-1"]


async def test_a_slot_that_a_run_is_to_be_carried_on_in_stays(leftovers: StateCleanup) -> None:
    slot = leftovers.workspaces.settings.state_dir / "slots" / "5"
    snapshot = await leftovers.workspaces.sync()
    path = await leftovers.workspaces.checkout(slot, snapshot, Identity(run_id="run-5"))
    where = RunRecord(slot=5, run_count=1, checkout=Checkout(path=path, snapshot=snapshot, read_paths=()))
    leftovers.records.write(uuid4(), where)
    await leftovers.vacate_slots()
    assert slot.exists()


def test_a_log_that_is_long_begins_anew_while_it_is_written(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"a" * 100)
        truncate_log(log, max_bytes=1000)
        assert log.stat().st_size == 100
        truncate_log(log, max_bytes=50)
        writer.write(b"b")
    assert log.read_bytes() == b"b"
    assert (tmp_path / "server.log.1").read_bytes() == b"a" * 100
