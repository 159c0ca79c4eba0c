"""Status of a working tree, read without following links."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from agent.domain.errors import WorkspaceError
from agent.git.git import Git

# The mode 160000 in an index file; without these bytes there is no submodule and git need not be run
GITLINK_MODE = b"\x00\x00\xe0\x00"

MAX_DEPTH = 128
"""Levels of directories in a tree. Git takes minutes to clean 800 of them; real trees have fewer than 30."""


async def changed_paths(git: Git, keep: Sequence[str] = ()) -> list[str]:
    """List the paths that differ from the index, are gone, or are new and neither ignored nor to `keep`.

    A repository inside the tree is one path that ends with a slash.
    """
    excluded = (f"--exclude={pattern}" for pattern in keep)
    listing = await git.run("ls-files", "-z", "--modified", "--deleted", "--others", "--exclude-standard", *excluded)
    return [os.fsdecode(name) for name in dict.fromkeys(listing.split(b"\0")) if name]


async def gitlinks(git: Git, index: Path) -> dict[str, str]:
    """Return the submodules of the index: path and recorded commit."""
    if GITLINK_MODE not in await asyncio.to_thread(index.read_bytes):
        return {}
    listing = await git.run("ls-files", "--stage", "-z")
    entries = [entry.split(b"\t", 1) for entry in listing.split(b"\0") if entry.startswith(b"160000 ")]
    return {os.fsdecode(path): facts.split(b" ")[1].decode() for facts, path in entries}


def clear_special_files(root: Path) -> list[str]:
    """Remove pipes, sockets and devices, and return the paths of the repositories inside the tree.

    Git ignores such files, and a reader of a pipe would never return. Raises WorkspaceError for a tree deeper than
    MAX_DEPTH.
    """
    repositories: list[str] = []
    waiting = [(str(root), 0)]
    while waiting:
        directory, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise WorkspaceError(f"there are more than {MAX_DEPTH} directories within each other")
        for entry in _entries(directory):
            if entry.name == ".git":
                if directory == str(root):
                    continue
                repositories.append(directory)
            if entry.is_dir(follow_symlinks=False):
                waiting.append((entry.path, depth + 1))
            elif not entry.is_file(follow_symlinks=False) and not entry.is_symlink():
                Path(entry.path).unlink(missing_ok=True)
    return [str(Path(repository).relative_to(root)) for repository in repositories]


def _entries(directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except PermissionError:
        Path(directory).chmod(0o700)
        with os.scandir(directory) as entries:
            return list(entries)


def exists_without_links(root: Path, path: str) -> bool:
    """True if a file or link is at `path` and no directory above it is a link."""
    parents = Path(path).parents
    return is_file_or_link(root / path) and not any((root / parent).is_symlink() for parent in parents)


def file_signature(path: Path) -> tuple[int, ...] | None:
    """Return size, times, inode and mode, one of which changes with the file; None if there is no file."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_mode)


def is_file_or_link(path: Path) -> bool:
    """True if there is a file or a link."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)
