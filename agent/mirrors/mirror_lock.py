"""Locks of a mirror, across tasks and processes; every wait for one is bounded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from agent.domain.errors import WorkspaceError

LOCK_POLL_SECONDS = 0.01


class MirrorBusy(WorkspaceError):
    """Another fetch, or the repacking of the mirror, holds its lock for longer than a run should wait."""

    def __init__(self, name: str, seconds: float) -> None:
        problem = f"the mirror {name} was in use for {seconds:g} s, by another fetch or by its repacking"
        super().__init__(problem, retryable=True)


@asynccontextmanager
async def hold_lock(path: Path, seconds: float) -> AsyncIterator[None]:
    """Hold the lock file; its directory is created. Raises MirrorBusy if another holds it for so many seconds."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(path, thread_local=False)
    deadline = time.monotonic() + seconds
    while True:
        try:
            lock.acquire(blocking=False)
            break
        except Timeout:
            if time.monotonic() >= deadline:
                raise MirrorBusy(path.stem.rpartition(".")[0], seconds) from None
            await asyncio.sleep(LOCK_POLL_SECONDS)
    try:
        yield
    finally:
        lock.release()
