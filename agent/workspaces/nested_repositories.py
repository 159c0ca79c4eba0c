"""Submodules, linked worktrees and clones inside a checkout, and whether the run used them."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

from agent.git.git import Git
from agent.git.git_directory import CORE, GitDir
from agent.git.untrusted_refs import read_ref_files, read_untrusted_refs
from agent.git.working_tree import changed_paths, gitlinks
from agent.system.files import remove
from agent.system.openat import is_directory
from agent.workspaces.slot_directory import SlotDirectory

POINTER_BYTES = 4096
# Git directories below the checkout's own, under any path at which the agent saw the checkout.
KEPT_BY_CHECKOUT = re.compile(r"(?:^|/)\.git/((?:worktrees|modules)/.+)$")


async def find_nested_repositories(git: Git, slot: SlotDirectory, repositories: list[str]) -> dict[str, bool]:
    """Map the path of each repository to True if it holds work; one in a directory with tracked files is left out."""
    if not repositories:
        return {}
    links = await gitlinks(git, slot.index)
    outer = [path for path in repositories if path in links or not await git.run("ls-files", "-z", "--", path, limit=1)]
    return {path: await _holds_work(git, slot, path, links.get(path)) for path in outer}


async def _holds_work(git: Git, slot: SlotDirectory, path: str, link: str | None) -> bool:
    """True if there is work in it. Its index is trusted: an agent that falsifies it only loses its own work."""
    tree = slot.checkout / path
    git_dir = await asyncio.to_thread(_git_dir, slot, tree)
    if git_dir is None:
        return True
    head = (await asyncio.to_thread(read_untrusted_refs, git_dir)).head
    is_worktree = git_dir.parent.name == "worktrees"
    if link is not None and head != link:
        return True
    # the commits of a linked worktree are in the checkout's own git directory and are read with it
    if link is None and not is_worktree and head not in await asyncio.to_thread(_remote_tips, git_dir):
        return True
    return await _has_changes(git, slot, tree, git_dir)


async def _has_changes(git: Git, slot: SlotDirectory, tree: Path, git_dir: Path) -> bool:
    private = slot.directory / "nested"
    try:
        GitDir(head="ref: refs/heads/main", alternates=private, config={"core": CORE}).write(private)
        shutil.copyfile(git_dir / "index", private / "index", follow_symlinks=False)
        shutil.copystat(git_dir / "index", private / "index", follow_symlinks=False)
        return bool(await changed_paths(git.at(private, tree, private / "index")))
    except FileNotFoundError:
        return True
    finally:
        await asyncio.to_thread(remove, private)


def _remote_tips(git_dir: Path) -> set[str]:
    return {sha for name, sha in read_ref_files(git_dir).items() if name.startswith("refs/remotes/")}


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
