"""Disk space used by a run, including unlinked files that it holds open."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agent.system.procfs import list_processes, with_descendants

ENTRY_BYTES = 4096
"""What a file takes besides its blocks, so that empty ones count: names and inodes run out, too."""

LONGEST_PATH = 2000
DEEPEST = 100
"""How often a path is taken up anew from its directory; what lies deeper than 200 KB of names is past all bounds."""

OPEN = stat.S_IRUSR | stat.S_IXUSR

Seen = set[tuple[int, int]]


def disk_usage(roots: Iterable[Path], pid: int) -> float:
    """Bytes on the disk, of a run whose first process is `pid`; infinite where a tree is too deep to be looked at."""
    seen: Seen = set()
    devices: set[int] = set()
    named = sum(_tree(root, seen, devices) for root in roots)
    return named + _unnamed(with_descendants({pid}, list_processes()), devices, seen)


def _tree(root: Path, seen: Seen, devices: set[int]) -> float:
    with suppress(OSError), _opened(root) as (descriptor, _):
        devices.add(os.fstat(descriptor).st_dev)
        return _below(descriptor, seen, 0)
    return 0


def _below(anchor: int, seen: Seen, depth: int) -> float:
    """Yield all below a directory, by paths from there; what is too long for one, or was closed, is begun anew."""
    total, todo = 0.0, ["."]
    while todo:
        path = todo.pop()
        with suppress(OSError), _opened(path, anchor) as (descriptor, was_closed):
            if not was_closed and len(os.fsencode(path)) <= LONGEST_PATH:
                total += _list(descriptor, path, todo, seen)
            elif depth < DEEPEST:
                total += _below(descriptor, seen, depth + 1)
            else:
                total = math.inf
    return total


def _list(descriptor: int, path: str, todo: list[str], seen: Seen) -> float:
    total = 0
    with os.scandir(descriptor) as entries:
        for entry in entries:
            try:
                found = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISDIR(found.st_mode):
                todo.append(f"{path}/{entry.name}")
            elif found.st_nlink > 1 and (found.st_dev, found.st_ino) in seen:
                continue
            else:
                seen.add((found.st_dev, found.st_ino))
            total += found.st_blocks * 512 + ENTRY_BYTES
    return total


@contextmanager
def _opened(path: str | Path, anchor: int | None = None) -> Iterator[tuple[int, bool]]:
    """Open a directory for as long as it is looked through, also one that its owner had closed."""
    found = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=anchor)
    itself = Path(f"/proc/self/fd/{found}")
    try:
        mode = stat.S_IMODE(os.fstat(found).st_mode)
        was_closed = mode & OPEN != OPEN and os.geteuid() != 0
        if was_closed:
            itself.chmod(mode | OPEN)
        try:
            descriptor = os.open(itself, os.O_RDONLY | os.O_DIRECTORY)
            try:
                yield descriptor, was_closed
            finally:
                os.close(descriptor)
        finally:
            if was_closed:
                itself.chmod(mode)
    finally:
        os.close(found)


def _unnamed(pids: Collection[int], devices: set[int], seen: Seen) -> int:
    """Files that were deleted and are still open somewhere; those in memory have other bounds."""
    total = 0
    for pid in pids:
        try:
            names = os.listdir(f"/proc/{pid}/fd")  # noqa: PTH208 - many, and Path is slow
        except OSError:
            continue
        for name in names:
            try:
                found = os.stat(f"/proc/{pid}/fd/{name}")  # noqa: PTH116
            except OSError:
                continue
            file = (found.st_dev, found.st_ino)
            on_disk = found.st_dev in devices or os.major(found.st_dev)
            if stat.S_ISREG(found.st_mode) and found.st_nlink == 0 and on_disk and file not in seen:
                seen.add(file)
                total += found.st_blocks * 512
    return total
