"""Tells whether an agent worked in a submodule that it had fetched."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from agent.files import is_directory, remove
from agent.git import Git
from agent.gitdir import CORE, GitDir
from agent.places import Slot
from agent.tips import read_tips
from agent.worktree import changed_paths

POINTER_BYTES = 4096


async def is_worked_in(git: Git, slot: Slot, path: str, commit: str) -> bool:
    """Whether the submodule at `path` is on another commit than `commit`, or has changed files.

    Its index is the agent's word, and taken: who lies about a submodule only loses work.
    """
    tree = slot.checkout / path
    git_dir = await asyncio.to_thread(_git_dir, slot, tree)
    if git_dir is None:
        return True
    if (await asyncio.to_thread(read_tips, git_dir)).head != commit:
        return True
    private = slot.directory / "submodule"
    try:
        GitDir(head=commit, alternates=private, config={"core": CORE}).write(private)
        shutil.copyfile(git_dir / "index", private / "index", follow_symlinks=False)
        return bool(await changed_paths(git.at(private, tree, private / "index")))
    except FileNotFoundError:
        return True
    finally:
        await asyncio.to_thread(remove, private)


def _git_dir(slot: Slot, tree: Path) -> Path | None:
    """The submodule's git directory, if it lies within the checkout, as git puts it there."""
    pointer = tree / ".git"
    if is_directory(pointer):
        return pointer
    if pointer.is_symlink() or not pointer.is_file():
        return None
    with pointer.open(errors="replace") as file:
        target = file.read(POINTER_BYTES).strip().removeprefix("gitdir:").strip()
    found = (tree / target).resolve()
    return found if found.is_relative_to(slot.checkout.resolve()) and is_directory(found) else None
