"""Looks at a working tree with git's eyes, and at its files without following a link."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from agent.git import Git


async def changed_paths(git: Git) -> list[str]:
    """Files that differ from the index in content or mode, are gone, or are new and not ignored.

    A repository inside the tree is one path that ends with a slash.
    """
    listing = await git.run("ls-files", "-z", "--modified", "--deleted", "--others", "--exclude-standard")
    return [os.fsdecode(name) for name in dict.fromkeys(listing.split(b"\0")) if name]


def stands(root: Path, path: str) -> bool:
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
