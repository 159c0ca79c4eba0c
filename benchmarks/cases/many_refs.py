"""A run of a repository with 200,000 refs and 50,000 files: its seconds, its memory, and what the event loop feels.

`python -m benchmarks.cases.many_refs` prints them; `REFS=20000 FILES=5000` for a smaller one. It exits with 1 when
the event loop, and with it `GET /health`, worked 100 ms or more in one go, or when memory went past its bound.
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from agent.domain.checkout import Identity
from agent.settings import AgentSettings
from agent.workspaces.workspaces import Workspaces
from benchmarks.cases.workspaces import ENVIRONMENT, change, generate

REFS = int(os.environ.get("REFS", "200000"))
FILES = int(os.environ.get("FILES", "50000"))
MOST_SECONDS = 0.1
# of the service, beside what it takes when nothing is done, and of its largest git process
MOST_MB, MOST_GIT_MB = 250, 1100
LARGE_CHANGE_BYTES = 128 * 1024 * 1024

T = TypeVar("T")
LONGEST = [0.0]
"""CPU time that the loop's own thread took between two looks, at most, in the step that is measured."""


def main() -> int:
    """Measure, print, and judge; gives the exit status."""
    before = _peak_mb(resource.RUSAGE_SELF)
    with tempfile.TemporaryDirectory() as scratch:
        longest = asyncio.run(measure(Path(scratch)))
    own, largest = _peak_mb(resource.RUSAGE_SELF) - before, _peak_mb(resource.RUSAGE_CHILDREN)
    print(f"longest work of the event loop in one go: {longest * 1000:.0f} ms; bound {MOST_SECONDS * 1000:.0f} ms")
    print(f"memory: {own} MB more in the service, bound {MOST_MB}; {largest} MB in a git process, bound {MOST_GIT_MB}")
    is_held = longest < MOST_SECONDS and own < MOST_MB and largest < MOST_GIT_MB
    print("held" if is_held else "NOT HELD")
    return 0 if is_held else 1


async def measure(scratch: Path) -> float:
    """Run twice in one slot, the second time with a large change; gives the loop's longest work in seconds."""
    remote = scratch / "remote.git"
    print(f"{REFS} refs, {FILES} files, on {os.cpu_count()} cores")
    await asyncio.to_thread(_make, remote)
    settings = AgentSettings(state_dir=scratch / "state", workspace_dir=str(remote), fetch_timeout_seconds=120)
    workspaces, slot = Workspaces(settings), scratch / "state" / "slots" / "0"
    async with _watched() as longest:
        await _timed("first fetch", workspaces.sync())
        for number in (1, 2):
            await asyncio.to_thread(change, remote, FILES, 1, number)
            snapshot = await _timed("fetch of one commit", workspaces.sync(fresh=True))
            checkout = await _timed("checkout", workspaces.checkout(slot, snapshot, Identity(run_id=f"run-{number}")))
            if number == 2:
                await asyncio.to_thread(_write_large, checkout / "large.bin")
            report = await _timed("collecting", workspaces.collect(slot, snapshot, f"run-{number}"))
            assert (report.kept_ref is not None) == (number == 2), report
        bundle = await _timed("bundle of a large change", workspaces.bundle("run-2"))
        assert bundle is not None
        bundle.unlink()
    return longest[0]


@asynccontextmanager
async def _watched() -> AsyncIterator[list[float]]:
    """Give a list whose one element is the most that LONGEST ever was."""
    longest = [0.0]

    async def look() -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0.002)
            LONGEST[0] = max(LONGEST[0], time.thread_time() - before)
            longest[0] = max(longest[0], LONGEST[0])

    task = asyncio.create_task(look())
    try:
        yield longest
    finally:
        task.cancel()


async def _timed(what: str, work: Awaitable[T]) -> T:
    began = time.perf_counter()
    LONGEST[0] = 0.0
    result = await work
    print(
        f"{what:<28}{time.perf_counter() - began:8.2f} s{LONGEST[0] * 1000:8.0f} ms of the loop in one go", flush=True
    )
    return result


def _write_large(path: Path) -> None:
    path.write_bytes(os.urandom(LARGE_CHANGE_BYTES))


def _make(remote: Path) -> None:
    generate(remote, FILES)
    command = ["git", "rev-parse", "refs/heads/main"]
    done = subprocess.run(command, cwd=remote, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    commit = done.stdout.strip()
    names = [f"refs/heads/b{number:06}" for number in range(REFS // 2)]
    names += [f"refs/tags/t{number:06}" for number in range(REFS - REFS // 2)]
    lines = "".join(f"{commit} {name}\n" for name in names)
    (remote / "packed-refs").write_text(f"# pack-refs with: peeled fully-peeled sorted \n{lines}")


def _peak_mb(who: int) -> int:
    return resource.getrusage(who).ru_maxrss // 1024


if __name__ == "__main__":
    sys.exit(main())
