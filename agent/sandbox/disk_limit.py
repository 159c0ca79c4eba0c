"""Bounds what a run takes of the disk: looks often at what is free, and at the run's files only when that falls.

No quota: files are counted after they were written. A file system that has quotas by project would be better, and few
have them switched on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from agent.sandbox.disk_usage import ENTRY_BYTES, disk_usage
from agent.sandbox.resource_limits import MB
from agent.sandbox.run_directory import RunFiles
from agent.system.concurrency import background_task
from agent.system.files import remove

_log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
FIRST_SECONDS = 5.0
OFTEN_SECONDS = 30.0
# Of the time that counting takes: so much of it is spent in pauses.
PAUSES = 5
LONG_PAUSES = 20

RESERVE_BYTES = 1024 * MB
"""With less than this left on the disk, a run may add a quarter of it and no more, whatever its bound is."""


class FreeSpace(NamedTuple):
    """What is left of a disk: blocks, and inodes in the bytes that each stands for; either runs out."""

    blocks: int
    inodes: int

    def fallen_to(self, now: FreeSpace) -> int:
        """Return how much has gone, of what went more."""
        return max(self.blocks - now.blocks, self.inodes - now.inodes)


class DiskMeter:
    """Decides when to count one run's files, and whether they are too many; knows no disk."""

    def __init__(self, most: int, free: FreeSpace, now: float) -> None:
        self._most = most
        self._free_at_first = self._free = free
        self._first: float | None = None
        self._used = 0.0
        self._not_before = now
        self._at_latest = now + FIRST_SECONDS

    def is_due(self, free: FreeSpace, now: float) -> bool:
        """True if the run may be past its limit, by what went from the disk since its files were counted."""
        if now < self._not_before:
            return False
        fallen = self._free.fallen_to(free)
        is_short = min(free) < RESERVE_BYTES and fallen > RESERVE_BYTES // 16
        return is_short or fallen > (self._most - self._used) / 2 or now >= self._at_latest

    def is_past(self, used: float, free: FreeSpace, now: float, took: float) -> bool:
        """Take note of a count that took so long, and judge it."""
        grown = (
            used - self._first if self._first is not None else max(0, min(used, self._free_at_first.fallen_to(free)))
        )
        if self._first is None:
            self._first = used - grown
        self._used, self._free = used, free
        self._not_before = now + PAUSES * took
        self._at_latest = now + max(OFTEN_SECONDS, LONG_PAUSES * took)
        return used > self._most or (min(free) < RESERVE_BYTES and grown > RESERVE_BYTES // 4)


class DiskLimiter:
    """Watches over the runs of a host; `most_mb`: None for no bound, `kept_bytes` is what may stay of a run's work."""

    def __init__(self, most_mb: int | None, kept_bytes: int) -> None:
        self._most = None if most_mb is None else most_mb * MB
        self._kept_bytes = kept_bytes
        self._exceeded: dict[str, float] = {}

    @asynccontextmanager
    async def watch(self, run: RunFiles, pid: int, on_exceeded: Callable[[], None]) -> AsyncIterator[None]:
        """Call `on_exceeded` once if the run, whose first process is `pid`, takes too much."""
        if self._most is None:
            yield
            return

        began = time.time()

        def note() -> None:
            self._exceeded[run.run_id] = began
            on_exceeded()

        roots = (run.checkout.path, run.private.directory)
        async with background_task(_watch(roots, pid, self._most, note), name=f"disk of {run.run_id}"):
            yield

    async def free_disk_space(self, run_id: str, checkout: Path) -> list[str]:
        """Give the disk back that a run took, if it was ended for it; notes for its report. Nothing of it may run."""
        began = self._exceeded.pop(run_id, None)
        return [] if began is None else await asyncio.to_thread(free_disk_space, checkout, began, self._kept_bytes)


async def _watch(roots: tuple[Path, ...], pid: int, most: int, on_exceeded: Callable[[], None]) -> None:
    try:
        meter = DiskMeter(most, _free(roots[0]), time.monotonic())
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            free, began = _free(roots[0]), time.monotonic()
            if not meter.is_due(free, began):
                continue
            used = await asyncio.to_thread(disk_usage, roots, pid)
            now = time.monotonic()
            if meter.is_past(used, free, now, now - began):
                on_exceeded()
                return
    except OSError as error:
        _log.warning("what is taken of the disk in %s is not watched any more: %s", roots[0], error)


def _free(path: Path) -> FreeSpace:
    try:
        found = os.statvfs(path)
    except OSError:  # the agent took its checkout away
        found = os.statvfs(path.parent)
    blocks = found.f_bavail * found.f_frsize
    # some file systems have as many inodes as they have room for, and count none
    return FreeSpace(blocks, found.f_favail * ENTRY_BYTES if found.f_files else blocks)


# The clock of a file system stands still between two ticks.
TICK_SECONDS = 0.02


def free_disk_space(checkout: Path, began: float, kept_bytes: int) -> list[str]:
    """Remove the largest of the files changed since `began`, until `kept_bytes` of them are left; notes on it.

    Where that does not help, or the tree cannot be looked through, the whole checkout goes. The time is the one that
    the kernel notes for each change, which no agent can set.
    """
    unseen: list[OSError] = []
    changed = _changed(checkout, began - TICK_SECONDS, unseen)
    left = sum(size for size, _ in changed)
    gone = 0
    for size, path in sorted(changed, reverse=True):
        if left <= kept_bytes:
            break
        if ".git" not in path.relative_to(checkout).parts:
            path.unlink(missing_ok=True)
            left -= size
            gone += 1
    if unseen or left > kept_bytes:
        remove(checkout)
        return ["the run was ended for the disk it took, and nothing of its checkout is kept"]
    return [f"the run was ended for the disk it took: its {gone} largest files were removed"] if gone else []


def _changed(checkout: Path, since: float, unseen: list[OSError]) -> list[tuple[int, Path]]:
    found = []
    for parent, _, names in os.walk(checkout, onerror=unseen.append):
        for name in names:
            path = Path(parent, name)
            try:
                facts = path.lstat()
            except OSError as error:
                unseen.append(error)
                continue
            if facts.st_ctime >= since:
                found.append((facts.st_blocks * 512, path))
    return found
