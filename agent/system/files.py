"""Atomic writes and recursive removal of files."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.domain.errors import WorkspaceError
from agent.system.openat import _opened, is_directory

DEEPEST_REMOVED = 32
"""How many directories within each other are open at once while a tree is removed."""


def write(path: Path, content: str | bytes, mode: int = 0o600) -> None:
    """Replace the file in one step: a reader sees the old content or the new."""
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove(path: Path) -> None:
    """Remove all that lies there, however deep; links are not followed, and directories that were closed are opened."""
    if not is_directory(path):
        path.unlink(missing_ok=True)
        return
    with _opened(str(path)) as root:
        names = _names(root)
        while names:
            names = [moved for name in names for moved in _take_away(name, root, root, depth=1)]
    path.rmdir()


def _take_away(name: str, directory: int, root: int, depth: int) -> list[str]:
    """Remove it; a directory that lies too deep moves up into the root instead: its new name there.

    So neither the stack nor the number of open files grows with a tree, nor does any path get long.
    """
    try:
        if not stat.S_ISDIR(os.lstat(name, dir_fd=directory).st_mode):
            os.unlink(name, dir_fd=directory)
            return []
        with _opened(name, directory) as inner:
            if depth == DEEPEST_REMOVED:
                new_name = f".{os.urandom(16).hex()}"
                os.rename(name, new_name, src_dir_fd=directory, dst_dir_fd=root)
                return [new_name]
            moved = [more for entry in _names(inner) for more in _take_away(entry, inner, root, depth + 1)]
        os.rmdir(name, dir_fd=directory)
    except FileNotFoundError:
        return []
    return moved


def _names(directory: int) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries]


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Trouble with files, such as a full disk, becomes a WorkspaceError."""
    try:
        yield
    except OSError as error:
        remedy = "free some space under STATE_DIR" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise WorkspaceError(f"{what} failed: {error.strerror or error}", remedy, retryable=True) from error
