"""Writes and removes files whole, whatever lies in the way."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.errors import WorkspaceError

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
    """Whether there is a directory, and not a link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def remove(path: Path) -> None:
    """Nothing is left there, however deep; links are not followed, and directories that were closed are opened."""
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
def _opened(name: str, parent: int | None = None) -> Iterator[int]:
    """A directory, made ours to list and change; raises OSError for a link."""
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


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Trouble with files, such as a full disk, becomes a WorkspaceError."""
    try:
        yield
    except OSError as error:
        hint = "; free some space under STATE_DIR" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise WorkspaceError(f"{what} failed: {error.strerror or error}{hint}", retryable=True) from error
