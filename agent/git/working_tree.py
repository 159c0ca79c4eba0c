"""Looks at a working tree with git's eyes, and at its files without following a link."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from agent.domain.errors import WorkspaceError
from agent.git.git import Git

# How an index writes the mode 160000: without it there is no submodule, and no need to ask git.
GITLINK_MODE = b"\x00\x00\xe0\x00"

DEEPEST = 128
"""Levels of directories in a tree; git takes minutes to clean 800 of them, and nobody works in so many."""


async def changed_paths(git: Git, keep: Sequence[str] = ()) -> list[str]:
    """Files that differ from the index in content or mode, are gone, or are new and neither ignored nor to `keep`.

    A repository inside the tree is one path that ends with a slash.
    """
    excluded = (f"--exclude={pattern}" for pattern in keep)
    listing = await git.run("ls-files", "-z", "--modified", "--deleted", "--others", "--exclude-standard", *excluded)
    return [os.fsdecode(name) for name in dict.fromkeys(listing.split(b"\0")) if name]


async def gitlinks(git: Git, index: Path) -> dict[str, str]:
    """Where submodules belong, and the commits that belong there."""
    if GITLINK_MODE not in await asyncio.to_thread(index.read_bytes):
        return {}
    listing = await git.run("ls-files", "--stage", "-z")
    entries = [entry.split(b"\t", 1) for entry in listing.split(b"\0") if entry.startswith(b"160000 ")]
    return {os.fsdecode(path): facts.split(b" ")[1].decode() for facts, path in entries}


def sweep(root: Path) -> list[str]:
    """Remove what git neither sees nor can read past: pipes, sockets, devices; the repositories inside the tree.

    A reader that waits at such a pipe would wait for ever. Raises WorkspaceError for a tree deeper than DEEPEST.
    """
    repositories: list[str] = []
    waiting = [(str(root), 0)]
    while waiting:
        directory, depth = waiting.pop()
        if depth > DEEPEST:
            raise WorkspaceError(f"there are more than {DEEPEST} directories within each other")
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
    """Whether a file or link is there, reached through directories alone."""
    parents = Path(path).parents
    return is_plain(root / path) and not any((root / parent).is_symlink() for parent in parents)


def signature(path: Path) -> tuple[int, ...] | None:
    """What changes whenever the file does: its size, times and inode; None if it is not there."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_mode)


def is_plain(path: Path) -> bool:
    """Whether that is a file or a link."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)
