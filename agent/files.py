"""Writes and removes files whole, whatever lies in the way."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.errors import WorkspaceError


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
    """Nothing is left there; links are not followed, and directories that were closed are opened."""
    if not is_directory(path):
        path.unlink(missing_ok=True)
        return
    try:
        shutil.rmtree(path)
    except (OSError, RecursionError):
        _remove_stubborn(path)


def _remove_stubborn(root: Path) -> None:
    """However deep: what lies two levels down is moved up before it is looked at, so no path gets long."""
    mark, waiting = f".{os.urandom(8).hex()}-", [root]
    for number, directory in enumerate(waiting):
        directory.chmod(0o700)
        with os.scandir(directory) as entries:
            found = list(entries)
        for at, entry in enumerate(found):
            place = Path(entry.path)
            if not entry.is_dir(follow_symlinks=False):
                place.unlink()
                continue
            if directory != root:
                place.chmod(0o700)
                place = place.rename(root / f"{mark}{number}-{at}")
            waiting.append(place)
        if directory != root:
            directory.rmdir()
    root.rmdir()


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
