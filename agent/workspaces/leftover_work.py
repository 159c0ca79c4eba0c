"""What an agent left in its checkout: commits, and changes that it did not commit.

The agent's `.git` is read as data. Its objects are linked into a git directory of ours, so no config, attribute,
hook, alternate or replacement of the agent's has a say in what we find.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from agent.domain.errors import WorkspaceError
from agent.git.git import Git
from agent.git.git_directory import CORE, GitDir
from agent.git.untrusted_refs import UntrustedRefs, link_objects, read_untrusted_refs
from agent.git.working_tree import changed_paths, exists_without_links, is_plain, signature, sweep
from agent.mirrors.mirror import Mirror
from agent.system.openat import is_directory
from agent.workspaces.nested_repositories import find_nested_repositories
from agent.workspaces.slot_directory import SlotDirectory

MOST_CHANGED_FILES = 100_000
REPOSITORY_BYTES = 64 * 1024 * 1024


@dataclass
class LeftoverWork:
    """What was found, to be read with `git`."""

    git: Git
    base: str
    head: str
    branch: str | None = None
    tips: dict[str, str] = field(default_factory=dict)
    tree: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def commits(self) -> list[str]:
        """Every commit that the agent gave a name to, HEAD first."""
        return list(dict.fromkeys([self.head, *self.tips.values()]))


async def find_leftover_work(git: Git, slot: SlotDirectory, mirror: Mirror, base: str, keep: list[str]) -> LeftoverWork:
    """Look through the slot's checkout; raises WorkspaceError if what is there cannot be read."""
    if not is_directory(slot.checkout):
        return LeftoverWork(git.at(slot.git_dir), base, base, notes=["the agent removed its checkout"])
    repositories = await asyncio.to_thread(sweep, slot.checkout)
    slot.note_repositories(repositories)
    tips = await asyncio.to_thread(read_untrusted_refs, slot.checkout / ".git")
    known = {base, *await asyncio.to_thread(slot.known_commits)}
    new = {name: sha for name, sha in tips.others.items() if sha not in known}
    moved = tips.head is not None and tips.head != base
    looking = git.at(slot.git_dir, slot.checkout, slot.index)
    nested = await find_nested_repositories(looking, slot, repositories)
    if not moved and not new and not any(nested.values()) and not await _changed_paths(looking, slot, keep, nested):
        return LeftoverWork(looking, base, base, tips.branch)
    work = await asyncio.to_thread(_make_work, git, slot, mirror)
    found = await _read_commits(work, base, tips, new)
    if found.head != base:
        await work.run("read-tree", "--reset", found.head)
    changed = await _changed_paths(work, slot, keep, nested)
    changed += [path for path, holds_work in nested.items() if holds_work]
    paths = await asyncio.to_thread(_files, slot, changed, found.notes, mirror.limits.kept_work_max_bytes)
    if paths:
        found.tree = await _write_tree(work, slot, found.head, paths)
    return found


def _make_work(git: Git, slot: SlotDirectory, mirror: Mirror) -> Git:
    private = GitDir(
        head="ref: refs/heads/main", alternates=mirror.objects, shallow=mirror.shallow(), config={"core": CORE}
    )
    private.write(slot.work)
    link_objects(slot.checkout / ".git", slot.work / "objects")
    index = slot.work / "index"
    shutil.copyfile(slot.index, index)
    # what git calls racy depends on the time of the index, so the copy keeps it
    shutil.copystat(slot.index, index)
    return git.at(slot.work, slot.checkout, index)


async def _read_commits(work: Git, base: str, tips: UntrustedRefs, new: dict[str, str]) -> LeftoverWork:
    """The tips that can be read as commits; the others are noted."""
    wanted = {"HEAD": tips.head or base, **new}
    asked = "".join(f"{sha}^{{commit}}\n" for sha in wanted.values())
    answers = (await work.run("cat-file", "--batch-check=%(objectname)", stdin=asked.encode())).decode().splitlines()
    found = LeftoverWork(work, base, base, tips.branch)
    for name, answer in zip(wanted, answers, strict=True):
        if answer.endswith("missing") and name == "HEAD":
            raise WorkspaceError("the commit that HEAD is on cannot be read")
        if answer.endswith("missing"):
            found.notes.append(f"{name} points to a commit that cannot be read")
        elif name == "HEAD":
            found.head = answer
        else:
            found.tips[name] = answer
    return found


async def _changed_paths(git: Git, slot: SlotDirectory, keep: list[str], nested: Iterable[str]) -> list[str]:
    """The paths that the agent changed, and not our own post-checkout command; those in `nested` are left out."""
    before = await asyncio.to_thread(slot.read_baseline)
    within = tuple(f"{path}/" for path in nested)
    paths = [path for path in await changed_paths(git, keep) if not f"{path}/".startswith(within)]
    return [path for path in paths if path not in before or before[path] != signature(slot.checkout / path)]


async def _write_tree(work: Git, slot: SlotDirectory, head: str, paths: list[str]) -> str | None:
    """The working tree as a tree object; None if it is the one of HEAD."""
    there = dict.fromkeys(path for path in paths if exists_without_links(slot.checkout, path))
    gone = [f"0 {'0' * 40}\t{path}" for path in dict.fromkeys(paths) if path not in there]
    if gone:
        await work.run("update-index", "-z", "--index-info", stdin=_listing(gone))
    if there:
        await work.run("update-index", "-z", "--add", "--replace", "--stdin", stdin=_listing([*there]))
    tree = await work.text("write-tree")
    return None if tree == await work.text("rev-parse", f"{head}^{{tree}}") else tree


def _files(slot: SlotDirectory, paths: list[str], notes: list[str], most_bytes: int) -> list[str]:
    """The files among `paths`, and those inside repositories that the agent made, if they are not too large."""
    kept: list[str] = []
    size = 0
    for path in paths:
        names = [path]
        if is_directory(slot.checkout / path):
            names = _inside(slot.checkout, path)
            if _size(slot.checkout, names) > REPOSITORY_BYTES:
                notes.append(f"{path} is a repository of its own, and too large to be kept")
                continue
            notes.append(f"{path} is a repository of its own: its files are kept, its history is not")
        size += _size(slot.checkout, names)
        kept += names
        if size > most_bytes or len(kept) > MOST_CHANGED_FILES:
            raise WorkspaceError(f"the changed files are more than KEPT_WORK_MAX_BYTES ({most_bytes}) or too many")
    return kept


def _inside(root: Path, path: str) -> list[str]:
    names = []
    for parent, directories, files in os.walk(root / path):
        directories[:] = [name for name in directories if name != ".git"]
        links = [name for name in directories if Path(parent, name).is_symlink()]
        names += [Path(parent, name) for name in (*files, *links) if name != ".git"]
    return [str(name.relative_to(root)) for name in names if is_plain(name)]


def _size(root: Path, names: list[str]) -> int:
    found = (signature(root / name) for name in names)
    return sum(facts[0] for facts in found if facts)


def _listing(entries: list[str]) -> bytes:
    return b"".join(os.fsencode(entry) + b"\0" for entry in entries)
