"""Makes files of agents inert for the git and the shell of whoever looks at them.

Git takes a directory with HEAD, objects and refs for a repository and runs what its config names, also in a tree that
was cloned; a link can lead out of the tree.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

SUFFIX = ".inert"
SAFE_CONFIG = "[core]\n\trepositoryformatversion = 0\n"
# what the CLI takes for instructions, settings, hooks or agents wherever it works
INSTRUCTIONS = frozenset({"claude.md", "claude.local.md", "agents.md", ".mcp.json", ".claude", ".claude.json"})


def acting_paths(root: Path, paths: Iterable[str]) -> list[str]:
    """Return those of the paths below `root` that make a directory a repository, or that are links out of it."""
    top = os.path.realpath(root)
    return [path for path in paths if _is_repository_head(root / path) or _leads_out(root / path, top)]


def is_instruction(path: str) -> bool:
    """True if the CLI would read the file, or one above it, as instructions, settings or agents."""
    return any(part.lower() in INSTRUCTIONS for part in Path(path).parts)


def make_inert(root: Path, path: str) -> None:
    """Rename the file, so that it means nothing where it lies; a link becomes a file that names its target."""
    source = root / path
    target = source.with_name(source.name + SUFFIX)
    with suppress(FileExistsError, IsADirectoryError):
        if source.is_symlink():
            text = os.fsencode(source.readlink())
            source.unlink()
            target.write_bytes(text + b"\n")
        else:
            source.rename(target)


def disarm_repositories(root: Path) -> None:
    """Replace the config and the hooks of each git directory in the tree; they stay beside it under another name."""
    waiting = [root]
    while waiting:
        directory = waiting.pop()
        # what is too deep for a path is too deep for a shell to stand in
        with suppress(OSError):
            with os.scandir(directory) as found:
                entries = {entry.name: entry for entry in found}
            if ".git" in entries and not entries[".git"].is_dir(follow_symlinks=False):
                (directory / ".git").rename(directory / f".git{SUFFIX}")
            if "HEAD" in entries and ("objects" in entries or "commondir" in entries):
                _disarm(directory, entries)
            waiting += [Path(entry.path) for entry in entries.values() if entry.is_dir(follow_symlinks=False)]


def _disarm(directory: Path, entries: Iterable[str]) -> None:
    for name in ("config", "config.worktree", "hooks", "commondir"):
        if name in entries:
            with suppress(OSError):
                (directory / name).rename(directory / (name + SUFFIX))
    (directory / "config").write_text(SAFE_CONFIG)


def _is_repository_head(path: Path) -> bool:
    if path.name.lower() != "head" or not (path.is_file() or path.is_symlink()):
        return False
    beside = [path.parent / name for name in ("objects", "refs", "commondir", "config")]
    return any(other.exists() or other.is_symlink() for other in beside)


def _leads_out(path: Path, top: str) -> bool:
    if not path.is_symlink():
        return False
    target = os.path.realpath(path)
    return target != top and not target.startswith(top + os.sep)
