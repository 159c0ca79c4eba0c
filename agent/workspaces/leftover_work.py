"""Commits and uncommitted changes in the checkout of a finished run.

The agent's `.git` is read as data. Its objects are linked into a git directory of the service, so no config,
attribute, hook, alternate or replacement of the agent changes what is found.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from agent.domain.errors import WorkspaceError
from agent.git.git import Git, GitError
from agent.git.git_directory import CORE, GitDir
from agent.git.untrusted_history import UntrustedHistory, read_untrusted_history
from agent.git.untrusted_refs import UntrustedRefs, link_objects, read_untrusted_refs
from agent.git.working_tree import (
    clear_special_files,
    exists_without_links,
    file_signature,
)
from agent.mirrors.mirror import Mirror
from agent.system.concurrency import run_to_completion
from agent.system.openat import is_directory
from agent.workspaces.changed_files import find_changed_files
from agent.workspaces.nested_repositories import NestedRepository, files_inside, find_nested_repositories
from agent.workspaces.slot_directory import SlotDirectory

MAX_CHANGED_FILES = 100_000
REPOSITORY_BYTES = 64 * 1024 * 1024
TREE_BYTES = 32 * 1024 * 1024
"""The most that the paths of a commit may take, beyond twice the index of what the run began with: a tree of trees
that name each other has more paths than there are bytes in the world, and git holds all of them in memory."""


@dataclass
class LeftoverWork:
    """The work found in one checkout, to be read with `git` until the collector removes its directory.

    `tree` is the working tree where it is not HEAD's, `before` what of it was there without the agent's doing.
    """

    git: Git
    base: str
    head: str
    branch: str | None = None
    named: dict[str, str] = field(default_factory=dict)
    tree: str | None = None
    before: str | None = None
    notes: list[str] = field(default_factory=list)
    history: UntrustedHistory = field(default_factory=UntrustedHistory)

    @property
    def commits(self) -> list[str]:
        """Return every commit that the agent named, HEAD first."""
        return list(dict.fromkeys([self.head, *self.named.values()]))


async def find_leftover_work(git: Git, slot: SlotDirectory, mirror: Mirror, base: str, keep: list[str]) -> LeftoverWork:
    """Find commits and changes in the slot's checkout. Raises WorkspaceError if they cannot be read."""
    if not is_directory(slot.checkout):
        return LeftoverWork(git.at(slot.git_dir), base, base, notes=["the agent removed its checkout"])
    repositories = await run_to_completion(asyncio.to_thread(clear_special_files, slot.checkout))
    slot.write_repositories(repositories)
    given = await asyncio.to_thread(slot.read_refs)
    refs = await asyncio.to_thread(read_untrusted_refs, slot.checkout / ".git", given)
    new = await asyncio.to_thread(_new_names, refs, base, slot)
    looking = git.at(slot.git_dir, slot.checkout, slot.index)
    history = await asyncio.to_thread(read_untrusted_history, slot.checkout / ".git")
    nested: list[NestedRepository] | None = None
    changed: list[str] = []
    moved = refs.head is not None and refs.head != base
    if not moved and not new and not history.made and not history.pushed:
        nested = await find_nested_repositories(looking, slot, repositories, mirror.objects)
        changed = await find_changed_files(looking, slot, base, keep, nested)
        if not changed and not any(one.has_work for one in nested):
            return LeftoverWork(looking, base, base, refs.branch)
    work = await run_to_completion(asyncio.to_thread(_make_work, git, slot, mirror))
    found = await _read_commits(work, base, refs, new)
    found.history = history
    if found.head != base:
        await _check_size(work, slot, found.head)
        await work.run("read-tree", "--reset", found.head)
    if nested is None:
        nested = await find_nested_repositories(work, slot, repositories, mirror.objects)
        changed = await find_changed_files(work, slot, base, keep, nested)
    await _write_trees(found, slot, changed, nested, mirror.limits.kept_work_max_bytes)
    return found


def _new_names(refs: UntrustedRefs, base: str, slot: SlotDirectory) -> dict[str, str]:
    """Return the refs that point to a commit that the checkout did not begin with."""
    candidates = {name: sha for name, sha in refs.others.items() if sha != base}
    known = slot.known_commits() if candidates else set()
    return {name: sha for name, sha in candidates.items() if sha not in known}


async def _check_size(work: Git, slot: SlotDirectory, commit: str) -> None:
    """Raise WorkspaceError for a commit with so many paths that git would take gigabytes to read it."""
    most = TREE_BYTES + 2 * (await asyncio.to_thread(slot.index.stat)).st_size
    try:
        paths = await work.run("ls-tree", "-r", "--name-only", "-z", commit, limit=most)
    except GitError as error:
        raise WorkspaceError(f"the files of commit {commit[:12]} cannot be listed: {error}") from error
    if len(paths) >= most:
        raise WorkspaceError(f"commit {commit[:12]} has more files than can be read")


def _make_work(git: Git, slot: SlotDirectory, mirror: Mirror) -> Git:
    private = GitDir(
        head="ref: refs/heads/main", alternates=(mirror.objects,), shallow=mirror.shallow(), config={"core": CORE}
    )
    private.write(slot.work)
    link_objects(slot.checkout / ".git", slot.work / "objects")
    index = slot.work / "index"
    shutil.copyfile(slot.index, index)
    # git compares the times of files with the time of the index, so the copy must keep it
    shutil.copystat(slot.index, index)
    # a slot waits for it, and a large file takes three times as long at git's usual level
    return git.at(slot.work, slot.checkout, index).with_environment({}, {"core.compression": "1"})


async def _read_commits(work: Git, base: str, refs: UntrustedRefs, new: dict[str, str]) -> LeftoverWork:
    """Return the named commits that can be read; the others become notes."""
    wanted = {"HEAD": refs.head or base, **new}
    asked = "".join(f"{sha}^{{commit}}\n" for sha in wanted.values())
    answers = (await work.run("cat-file", "--batch-check=%(objectname)", stdin=asked.encode())).decode().splitlines()
    found = LeftoverWork(work, base, base, refs.branch)
    for name, answer in zip(wanted, answers, strict=True):
        if answer.endswith("missing") and name == "HEAD":
            raise WorkspaceError("the commit that HEAD is on cannot be read")
        if answer.endswith("missing"):
            found.notes.append(f"{name} points to a commit that cannot be read")
        elif name == "HEAD":
            found.head = answer
        else:
            found.named[name] = answer
    return found


async def _write_trees(
    found: LeftoverWork, slot: SlotDirectory, changed: list[str], nested: list[NestedRepository], most_bytes: int
) -> None:
    """Write the working tree as a tree object, unless it equals HEAD's, with what repositories in it hold."""
    holding = [one for one in nested if one.has_work]
    moved = {one.path: one.moved_to for one in holding if one.moved_to and not one.changed}
    beside = [path for one in holding for path in await asyncio.to_thread(_beside, one, slot, found.notes)]
    mine = dict.fromkeys([*changed, *(path for one in holding for path in one.changed)])
    await asyncio.to_thread(_check, slot, [*mine, *beside], most_bytes)
    if not mine and not moved:
        return
    if beside:
        await _stage(found.git, slot, [path for path in beside if path not in mine])
        found.before = await found.git.text("write-tree")
    await _stage(found.git, slot, [*mine])
    for path, commit in moved.items():
        await found.git.run("update-index", "-z", "--index-info", stdin=_listing([f"160000 {commit}\t{path}"]))
    tree = await found.git.text("write-tree")
    # the service's own git directory has the mirror's objects alone: an agent can falsify its own
    reader = found.git.at(slot.git_dir) if found.head == found.base else found.git
    found.tree = None if tree == await reader.text("rev-parse", f"{found.head}^{{tree}}") else tree


def _beside(one: NestedRepository, slot: SlotDirectory, notes: list[str]) -> list[str]:
    """Return the unchanged files that are kept with the changed ones of a repository, if they are not too large."""
    if not one.changed:
        return []
    if one.is_worktree:
        notes.append(f"{one.path} is a linked worktree: the files that changed in it are kept in its place")
        return []
    names = files_inside(slot.checkout, one.path)
    if _size(slot.checkout, names) > REPOSITORY_BYTES:
        notes.append(f"{one.path} is a large repository of its own: its changed files are kept, its history is not")
        # what stands for it in the index is no change of the run's
        return [one.path] if one.link else []
    notes.append(f"{one.path} is a repository of its own: its files are kept, its history is not")
    return names


async def _stage(work: Git, slot: SlotDirectory, paths: list[str]) -> None:
    """Bring those paths of the index to what is in the working tree."""
    there = dict.fromkeys(path for path in paths if exists_without_links(slot.checkout, path))
    gone = [f"0 {'0' * 40}\t{path}" for path in dict.fromkeys(paths) if path not in there]
    if gone:
        await work.run("update-index", "-z", "--index-info", stdin=_listing(gone))
    if there:
        await work.run("update-index", "-z", "--add", "--replace", "--stdin", stdin=_listing([*there]))


def _check(slot: SlotDirectory, paths: list[str], most_bytes: int) -> None:
    """Raise WorkspaceError if the files are more than can be kept."""
    if _size(slot.checkout, paths) > most_bytes or len(paths) > MAX_CHANGED_FILES:
        raise WorkspaceError(f"the changed files are more than KEPT_WORK_MAX_BYTES ({most_bytes}) or too many")


def _size(root: Path, names: list[str]) -> int:
    found = (file_signature(root / name) for name in names)
    return sum(facts[0] for facts in found if facts)


def _listing(entries: list[str]) -> bytes:
    return b"".join(os.fsencode(entry) + b"\0" for entry in entries)
