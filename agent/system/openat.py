"""Symlink-safe file access below a directory (openat, O_NOFOLLOW) in trees that an agent can write."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_below(root: Path, path: str, content: str, mode: int = 0o600) -> None:
    """Replace the file `path` below `root`, where others write too: raises OSError rather than follow a link."""
    opened = [os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)]
    try:
        *parents, name = path.split("/")
        for parent in parents:
            opened.append(os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=opened[-1]))
        temporary = f".{name}.{os.urandom(8).hex()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(temporary, flags, mode, dir_fd=opened[-1]), "w") as file:
            file.write(content)
        os.replace(temporary, name, src_dir_fd=opened[-1], dst_dir_fd=opened[-1])
    finally:
        for descriptor in opened:
            os.close(descriptor)


def is_directory(path: Path) -> bool:
    """True if it is a directory, and not a link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


@contextmanager
def _opened(name: str, parent: int | None = None) -> Iterator[int]:
    """Open a directory, made ours to list and change; raises OSError for a link."""
    found = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        # only by this way can a directory be opened that nobody may read, and no link in its place
        itself = Path(f"/proc/self/fd/{found}")
        itself.chmod(0o700)
        readable = os.open(itself, os.O_RDONLY | os.O_DIRECTORY)
    finally:
        os.close(found)
    try:
        yield readable
    finally:
        os.close(readable)


def open_directories(path: Path) -> None:
    """Make every directory in the tree ours to list and change."""
    path.chmod(0o700)
    for parent, directories, _ in os.walk(path):
        for name in directories:
            directory = Path(parent, name)
            if is_directory(directory):
                directory.chmod(0o700)


FILE_BYTES = 16 * 1024 * 1024


def read_inside(root: int, path: str, most: int = FILE_BYTES) -> bytes:
    """Return the content of a plain file below the directory `root`; nothing if there is none."""
    opened: list[int] = []
    try:
        *parents, name = path.split("/")
        for parent in parents:
            opened.append(os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=(opened or [root])[-1]))
        opened.append(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=(opened or [root])[-1]))
        if not stat.S_ISREG(os.fstat(opened[-1]).st_mode):
            return b""
        with os.fdopen(os.dup(opened[-1]), "rb") as file:
            return file.read(most)
    except OSError:
        return b""
    finally:
        for descriptor in opened:
            os.close(descriptor)
