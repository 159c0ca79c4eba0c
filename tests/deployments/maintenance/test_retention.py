"""What has been kept long enough is forgotten, by the host itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from agent.domain.checkout import Identity
from agent.settings import AgentSettings
from agent.workspaces.workspaces import Workspaces
from demo.repository import create_repository
from deployments.maintenance.retention import Retention
from store.settings import StoreSettings
from store.store import Store, open_store

AT_ONCE = StoreSettings.model_construct(journal_retention_days=0, record_retention_days=None)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path}/store.sqlite3") as opened:
        yield opened


@pytest.fixture
def settings(tmp_path: Path) -> AgentSettings:
    origin = create_repository(tmp_path / "repository")
    return AgentSettings(state_dir=tmp_path / "state", workspace_dir=str(origin))


async def keep_something(workspaces: Workspaces) -> None:
    slot = workspaces.settings.state_dir / "slots" / "0"
    snapshot = await workspaces.sync()
    checkout = await workspaces.checkout(slot, snapshot, Identity(run_id="run-1"))
    (checkout / "work.txt").write_text("work\n")
    await workspaces.collect(slot, snapshot, "run-1")
    assert [kept.run_id for kept in await workspaces.kept()] == ["run-1"]


async def test_a_host_forgets_kept_work_and_journals_past_their_time(settings: AgentSettings, store: Store) -> None:
    workspaces = Workspaces(settings.model_copy(update={"kept_work_days": 1e-9}))
    await keep_something(workspaces)
    run_id = uuid4()
    store.journal.append(run_id, "said", "hello")
    await store.journal.flush()
    # kept work is dated in whole seconds
    await asyncio.sleep(1.1)
    async with Retention(workspaces, store, AT_ONCE).repeating(first_seconds=0), asyncio.timeout(60):
        while await store.journal.read(run_id):
            await asyncio.sleep(0.05)
    assert await workspaces.kept() == []


async def test_it_keeps_what_is_not_old_and_goes_on_when_something_fails(
    settings: AgentSettings, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    workspaces = Workspaces(settings)
    await keep_something(workspaces)
    run_id = uuid4()
    store.journal.append(run_id, "said", "hello")
    await store.journal.flush()
    upkeep = Retention(workspaces, store, StoreSettings())
    await upkeep.run()
    assert [kept.run_id for kept in await workspaces.kept()] == ["run-1"]
    assert len(await store.journal.read(run_id)) == 1

    async def fail() -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(workspaces, "drop_older_than", fail)
    with caplog.at_level(logging.WARNING):
        await Retention(workspaces, store, AT_ONCE).run()
    assert "the disk is gone" in caplog.text
    assert await store.journal.read(run_id) == []


async def test_outcomes_go_a_day_after_their_runs_unless_a_setting_says_otherwise(
    settings: AgentSettings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[timedelta] = []

    async def trim(self: Store, older_than: datetime, *, records_older_than: datetime) -> None:
        asked.append(datetime.now(UTC) - records_older_than)

    monkeypatch.setattr(Store, "trim", trim)
    workspaces = Workspaces(settings)
    await Retention(workspaces, store, StoreSettings(), run_retention_days=30).run()
    await Retention(workspaces, store, StoreSettings(record_retention_days=5), run_retention_days=30).run()
    assert [round(age / timedelta(days=1)) for age in asked] == [31, 5]


async def test_a_full_disk_does_not_wait_hours_for_room_to_be_made(
    settings: AgentSettings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.maintenance.retention._DISK_CHECK_SECONDS", 0.01)
    monkeypatch.setattr("deployments.maintenance.retention._LOW_DISK_INTERVAL_SECONDS", 0.05)
    low, done = False, asyncio.Queue[None]()

    async def run(self: Retention) -> None:
        done.put_nowait(None)

    monkeypatch.setattr(Retention, "run", run)
    upkeep = Retention(Workspaces(settings), store, StoreSettings(), is_disk_low=lambda: low)
    async with upkeep.repeating(first_seconds=0), asyncio.timeout(60):
        await done.get()
        await asyncio.sleep(0.2)
        assert done.empty()
        low = True
        await done.get()
