"""The words in which bubblewrap is told what lies where in a cell."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

MEMORY_BYTES = 256 * 1024 * 1024


class Mount(NamedTuple):
    """One thing at one place of the cell."""

    at: Path
    words: tuple[str, ...]


def readable(source: Path, at: Path) -> Mount:
    """A file or directory of the machine, for reading."""
    return Mount(at, ("--ro-bind", str(source), str(at)))


def writable(source: Path, at: Path) -> Mount:
    """A file or directory of the machine, for writing."""
    return Mount(at, ("--bind", str(source), str(at)))


def linked(target: Path, at: Path) -> Mount:
    """A symbolic link."""
    return Mount(at, ("--symlink", str(target), str(at)))


def in_memory(at: Path, *, sizes: bool) -> Mount:
    """An empty directory in memory; `sizes`: this bubblewrap can bound it."""
    bound = ("--size", str(MEMORY_BYTES)) if sizes else ()
    return Mount(at, (*bound, "--tmpfs", str(at)))


def cover(path: Path) -> Mount:
    """Nothing, where the machine has something."""
    if path.is_dir():
        return Mount(path, ("--tmpfs", str(path)))
    return readable(Path("/dev/null"), path)


def is_there(path: Path) -> bool:
    """Whether this process can reach `path`; where it cannot, bubblewrap could not either."""
    return os.access(path, os.F_OK)
