"""Submodules, linked worktrees and clones inside a checkout, and what the run changed in them."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from agent.git.git import Git, GitError
from agent.git.git_directory import CORE, GitDir
from agent.git.untrusted_refs import link_objects, read_ref_files, read_untrusted_refs
from agent.git.working_tree import changed_paths, gitlinks, is_file_or_link
from agent.system.files import remove
from agent.system.openat import is_directory
from agent.workspaces.slot_directory import SlotDirectory

POINTER_BYTES = 4096
MAX_CHANGED_PATHS_BYTES = 16 * 1024 * 1024
# Git directories below the checkout's own, under any path at which the agent saw the checkout.
KEPT_BY_CHECKOUT = re.compile(r"(?:^|/)\.git/((?:worktrees|modules)/.+)$")


@dataclass
class NestedRepository:
    """A repository in the checkout: its path, its kind, and the paths that changed in it, from the checkout's top.

    `moved_to` is the commit that a submodule is on, if the index has another one and the submodule's remote has it.
    """

    path: str
    is_worktree: bool = False
    link: str | None = None
    changed: list[str] = field(default_factory=list)
    moved_to: str | None = None

    @property
    def has_work(self) -> bool:
        """True if something in it has to be kept."""
        return bool(self.changed) or self.moved_to is not None


async def find_nested_repositories(
    git: Git, slot: SlotDirectory, repositories: list[str], objects: Path
) -> list[NestedRepository]:
    """Return the repositories; those in directories with tracked files are left out. `objects` are the mirror's."""
    if not repositories:
        return []
    links = await gitlinks(git, Path(git.environment["GIT_INDEX_FILE"]))
    outer = [path for path in repositories if path in links or not await git.run("ls-files", "-z", "--", path, limit=1)]
    return [await _examine(git, slot, NestedRepository(path, link=links.get(path)), objects) for path in outer]


async def _examine(git: Git, slot: SlotDirectory, one: NestedRepository, objects: Path) -> NestedRepository:
    """Find what changed in it. Its index is trusted: an agent that falsifies it only loses its own work."""
    tree = slot.checkout / one.path
    git_dir = await asyncio.to_thread(_git_dir, slot, tree)
    if git_dir is None:
        one.changed = await asyncio.to_thread(files_inside, slot.checkout, one.path)
        return one
    one.is_worktree = git_dir.parent.name == "worktrees"
    head = await asyncio.to_thread(_head, slot, one, git_dir)
    tips = set() if one.is_worktree else await asyncio.to_thread(_remote_tips, git_dir)
    start = one.link or next(iter(tips), None)
    is_elsewhere = not one.is_worktree and head not in {one.link, *tips}
    paths = await _changes(git, slot, one, git_dir, head, start if is_elsewhere else None, objects)
    if paths is None or (is_elsewhere and start is None):
        one.changed = await asyncio.to_thread(files_inside, slot.checkout, one.path)
    else:
        one.changed = [f"{one.path}/{path}" for path in paths]
    if one.link is not None and head is not None and head != one.link and head in tips:
        one.moved_to = head
    return one


async def _changes(
    git: Git,
    slot: SlotDirectory,
    one: NestedRepository,
    git_dir: Path,
    head: str | None,
    start: str | None,
    objects: Path,
) -> list[str] | None:
    """Return what differs from its HEAD, and from `start` if that is given; None if that cannot be found out."""
    private = slot.directory / "nested"
    tree = slot.checkout / one.path
    try:
        await asyncio.to_thread(_prepare, private, git_dir, _common(slot, one, git_dir), objects)
        inner = git.at(private, tree, private / "index")
        paths = await changed_paths(inner)
        if head is not None:
            names = ("--name-only", "-z", "--ignore-submodules=none")
            limit = MAX_CHANGED_PATHS_BYTES
            staged = await inner.run("diff-index", "--cached", *names, head, limit=limit)
            made = await inner.run("diff-tree", "-r", *names, start, head, limit=limit) if start else b""
            paths += [os.fsdecode(name) for name in (staged + made).split(b"\0") if name]
        return list(dict.fromkeys(paths))
    except (GitError, OSError):
        return None
    finally:
        await asyncio.to_thread(remove, private)


def _prepare(private: Path, git_dir: Path, common: Path, objects: Path) -> None:
    GitDir(head="ref: refs/heads/main", alternates=(objects,), config={"core": CORE}).write(private)
    link_objects(common, private / "objects")
    shutil.copyfile(git_dir / "index", private / "index", follow_symlinks=False)
    shutil.copystat(git_dir / "index", private / "index", follow_symlinks=False)


def _common(slot: SlotDirectory, one: NestedRepository, git_dir: Path) -> Path:
    return slot.checkout / ".git" if one.is_worktree else git_dir


def _head(slot: SlotDirectory, one: NestedRepository, git_dir: Path) -> str | None:
    if not one.is_worktree:
        return read_untrusted_refs(git_dir).head
    # its branch is in the checkout's own git directory, and so are its commits, which are read with that
    refs = read_untrusted_refs(slot.checkout / ".git", slot.read_refs())
    return refs.others.get(f"worktree {git_dir.name}")


def _remote_tips(git_dir: Path) -> set[str]:
    return {sha for name, sha in read_ref_files(git_dir).items() if name.startswith("refs/remotes/")}


def files_inside(root: Path, path: str) -> list[str]:
    """List the files and links below the directory, without its git directory, from `root`."""
    names: list[Path] = []
    for parent, directories, files in os.walk(root / path):
        directories[:] = [name for name in directories if name != ".git"]
        links = [name for name in directories if Path(parent, name).is_symlink()]
        names += [Path(parent, name) for name in (*files, *links) if name != ".git"]
    return [str(name.relative_to(root)) for name in names if is_file_or_link(name)]


def _git_dir(slot: SlotDirectory, tree: Path) -> Path | None:
    """Return the repository's git directory if it lies within the checkout, else None."""
    pointer = tree / ".git"
    if is_directory(pointer):
        return pointer
    if pointer.is_symlink() or not pointer.is_file():
        return None
    with pointer.open(errors="replace") as file:
        target = KEPT_BY_CHECKOUT.search(file.read(POINTER_BYTES).strip())
    if target is None:
        return None
    own = (slot.checkout / ".git").resolve()
    found = (own / target[1]).resolve()
    return found if found.is_relative_to(own) and is_directory(found) else None
