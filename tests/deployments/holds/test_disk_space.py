"""A disk that gets full is noticed before it is, once, and work is taken again when there is room."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from small_disk import small_disk

from agent.domain.errors import DiskFull
from agent.domain.request import AgentRequest
from agent.settings import AgentSettings
from deployments.holds.disk_space import MB, DiskSpace
from deployments.host.host import Host
from deployments.host.job_queue import JobOptions
from deployments.settings import HostSettings
from deployments.worker.run_handlers import AgentRunHandler


class Room:
    """So much as somebody says; every look is a new one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("deployments.holds.disk_space._FRESH_SECONDS", 0.0)
        self.mb = 1000
        self.failure: OSError | None = None

    def __call__(self, _: Path) -> int:
        if self.failure:
            raise self.failure
        return self.mb * MB


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    return Room(monkeypatch)


def test_it_is_low_below_the_bound_and_until_there_is_a_tenth_more(
    room: Room, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = DiskSpace(tmp_path, 500, room)
    seen = []
    with caplog.at_level(logging.WARNING):
        for room.mb in (1000, 500, 499, 400, 520, 549, 551, 499):
            seen.append(disk.is_low)
    assert seen == [False, False, True, True, True, True, False, True]
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING", "ERROR"]
    assert "MIN_FREE_DISK_MB" in caplog.records[0].getMessage()


def test_with_a_bound_of_none_nothing_is_refused(room: Room, tmp_path: Path) -> None:
    room.mb = 0
    assert not DiskSpace(tmp_path, 0, room).is_low


def test_a_disk_that_cannot_be_looked_at_refuses_nothing(room: Room, tmp_path: Path) -> None:
    room.failure = OSError("stale file handle")
    assert not DiskSpace(tmp_path, 500, room).is_low


def test_it_is_looked_at_once_a_second_at_most(tmp_path: Path) -> None:
    looks = []
    disk = DiskSpace(tmp_path, 500, lambda path: looks.append(path) or 10**12)  # type: ignore[func-returns-value]
    assert not any(disk.is_low for _ in range(100))
    assert looks == [tmp_path]


def test_no_worker_takes_a_run_while_it_is_low(room: Room, tmp_path: Path) -> None:
    provider, pause = SimpleNamespace(until=None), SimpleNamespace(paused=[])
    holds = SimpleNamespace(disk=DiskSpace(tmp_path, 500, room), provider=provider, pause=pause)
    host = SimpleNamespace(holds=holds, agents_queued=asyncio.Event())
    work = AgentRunHandler(cast(Any, host), cast(Any, None))
    assert not work.is_held
    room.mb = 10
    assert work.is_held


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "small", size_mb=4) as directory:
        yield directory


async def test_a_host_takes_neither_jobs_nor_chats_while_it_is_low(tmp_path: Path) -> None:
    nothing = cast(Any, None)
    host = Host(AgentSettings(state_dir=tmp_path), HostSettings(min_free_disk_mb=2**40), nothing, nothing)
    request = AgentRequest(prompt="p", agent="a")
    assert host.capacity().is_busy
    with pytest.raises(DiskFull):
        await host.queue.submit(request, JobOptions())
    with pytest.raises(DiskFull):
        async with host.inline.start(request, tags=[], wait_seconds=0):
            pass
    assert host.runtime.slots.free == host.runtime.slots.capacity


def test_a_true_file_system_that_fills_up_is_low(small: Path, room: Room) -> None:
    disk = DiskSpace(small, 2)
    assert not disk.is_low
    (small / "large").write_bytes(b"x" * (3 * MB))
    assert disk.is_low
    (small / "large").unlink()
    assert not disk.is_low
