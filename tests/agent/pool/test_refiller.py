"""The refiller without the CLI: which target it prepares next, and what it leaves alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from waiting import until

from agent.claude.process_spec import ProcessSpec
from agent.domain.checkout import Snapshot
from agent.domain.errors import WorkspaceError
from agent.pool.demand import Demand
from agent.pool.refiller import Refiller
from agent.pool.slot_states import SlotStates
from agent.pool.slots import Slots

pytestmark = pytest.mark.anyio

GONE = ProcessSpec(agent="upgrade", max_budget_usd=5, ref="merged-and-deleted")
HERE = ProcessSpec(agent="upgrade", max_budget_usd=5)


class FakeWorkspaces:
    """A workspace whose remote has only its own branch."""

    settings = SimpleNamespace(fetch_debounce_seconds=0)

    def __init__(self, directory: Path) -> None:
        self._mirror = directory / "mirror"
        self.asked: list[str | None] = []

    async def sync(self, workspace: str, ref: str | None, **options: bool) -> Snapshot:
        self.asked.append(ref)
        if ref is not None:
            raise WorkspaceError(f"{ref} is not in {workspace}")
        return Snapshot(
            workspace=workspace,
            ref="main",
            commit="0" * 40,
            branch="main",
            fetched_at=datetime.now(UTC),
            mirror=self._mirror,
        )

    async def checkout(self, directory: Path, *_: object) -> Path:
        (directory / "checkout").mkdir(parents=True, exist_ok=True)
        return directory / "checkout"

    def read_paths(self, snapshot: Snapshot) -> list[Path]:
        return []


class SilentProcess:
    """A CLI that answers what it is asked before a run, and nothing else."""

    exit_code = None
    stderr = ""

    async def send(self, message: dict[str, Any]) -> None: ...

    async def lines(self) -> AsyncIterator[str]:
        yield '{"type":"control_response","response":{"request_id":"context","subtype":"success"}}'


class FakeLauncher:
    @asynccontextmanager
    async def launch(self, *_: object, **__: object) -> AsyncIterator[Any]:
        yield SimpleNamespace(process=SilentProcess(), lease=None)


class Pool:
    """A refiller for two slots and what it works on."""

    def __init__(self, directory: Path, has_room: Callable[[], bool] = lambda: True) -> None:
        released = asyncio.Event()
        self.slots = Slots(2, directory, on_released=released.set)
        self.states = SlotStates(self.slots.all_free())
        self.demand = Demand(600)
        self.workspaces = FakeWorkspaces(directory)
        self.refiller = Refiller(
            self.states,
            self.demand,
            self.slots,
            cast(Any, self.workspaces),
            cast(Any, FakeLauncher()),
            directory,
            2,
            released,
            has_room=has_room,
        )

    def run_twice(self, spec: ProcessSpec) -> None:
        for _ in range(2):
            with self.demand.record(spec):
                pass


async def test_a_branch_that_is_gone_does_not_keep_others_from_being_prepared(tmp_path: Path) -> None:
    pool = Pool(tmp_path)
    pool.run_twice(HERE)
    pool.run_twice(GONE)  # the newest: it is the first target each time
    filling = asyncio.create_task(pool.refiller.fill())
    await until(lambda: any(p.spec == HERE and p.hot for p in pool.states.processes), "the other is prepared", 30)
    filling.cancel()
    assert pool.workspaces.asked.count(GONE.ref) == 1
    await pool.states.close_all()


async def test_what_failed_is_tried_again_later_and_forgotten_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = Pool(tmp_path)
    pool.run_twice(GONE)
    while await pool.refiller._prepare_next():
        pass
    assert pool.workspaces.asked.count(GONE.ref) == 1
    assert len(pool.refiller._paused_until) == 1
    monkeypatch.setattr("agent.pool.refiller.time", SimpleNamespace(monotonic=lambda: 1e12))
    pool.refiller._is_paused(next(iter(pool.refiller._paused_until)))
    assert pool.refiller._paused_until == {}
    await pool.states.close_all()


@pytest.mark.parametrize("has_room", [True, False])
async def test_nothing_is_prepared_while_the_disk_has_no_room(tmp_path: Path, has_room: bool) -> None:
    pool = Pool(tmp_path, has_room=lambda: has_room)
    pool.run_twice(HERE)
    assert await pool.refiller._prepare_next() == has_room
    assert len(pool.states.processes) == has_room
    await pool.states.close_all()


async def test_runs_that_wait_for_a_slot_come_first(tmp_path: Path) -> None:
    pool = Pool(tmp_path)
    pool.run_twice(HERE)
    for _ in range(2):
        await pool.slots.acquire()
    waiter = asyncio.create_task(pool.slots.acquire())
    await asyncio.sleep(0)
    assert not await pool.refiller._prepare_next()
    waiter.cancel()
