"""Commits and uncommitted changes in the checkout of a finished run.

The agent's `.git` is read as data. Its objects are linked into a git directory of the service, so no config,
attribute, hook, alternate or replacement of the agent changes what is found.
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
from agent.git.working_tree import (
    changed_paths,
    clear_special_files,
    exists_without_links,
    file_signature,
    is_file_or_link,
)
from agent.mirrors.mirror import Mirror
from agent.system.openat import is_directory
from agent.workspaces.nested_repositories import find_nested_repositories
from agent.workspaces.slot_directory import SlotDirectory

MAX_CHANGED_FILES = 100_000
REPOSITORY_BYTES = 64 * 1024 * 1024


@dataclass
class LeftoverWork:
    """The work found in one checkout, to be read with `git` until the collector removes its directory."""

    git: Git
    base: str
    head: str
    branch: str | None = None
    named: dict[str, str] = field(default_factory=dict)
    tree: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def commits(self) -> list[str]:
        """Return every commit that the agent named, HEAD first."""
        return list(dict.fromkeys([self.head, *self.named.values()]))


async def find_leftover_work(git: Git, slot: SlotDirectory, mirror: Mirror, base: str, keep: list[str]) -> LeftoverWork:
    """Find commits and changes in the slot's checkout. Raises WorkspaceError if they cannot be read."""
    if not is_directory(slot.checkout):
        return LeftoverWork(git.at(slot.git_dir), base, base, notes=["the agent removed its checkout"])
    repositories = await asyncio.to_thread(clear_special_files, slot.checkout)
    slot.write_repositories(repositories)
    refs = await asyncio.to_thread(read_untrusted_refs, slot.checkout / ".git")
    known = {base, *await asyncio.to_thread(slot.known_commits)}
    new = {name: sha for name, sha in refs.others.items() if sha not in known}
    moved = refs.head is not None and refs.head != base
    looking = git.at(slot.git_dir, slot.checkout, slot.index)
    nested = await find_nested_repositories(looking, slot, repositories)
    if not moved and not new and not any(nested.values()) and not await _changed_paths(looking, slot, keep, nested):
        return LeftoverWork(looking, base, base, refs.branch)
    work = await asyncio.to_thread(_make_work, git, slot, mirror)
    found = await _read_commits(work, base, refs, new)
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
    # git compares the times of files with the time of the index, so the copy must keep it
    shutil.copystat(slot.index, index)
    return git.at(slot.work, slot.checkout, index)


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


async def _changed_paths(git: Git, slot: SlotDirectory, keep: list[str], nested: Iterable[str]) -> list[str]:
    """List the paths that the agent changed, without those of the post-checkout command and those in `nested`."""
    before = await asyncio.to_thread(slot.read_baseline)
    within = tuple(f"{path}/" for path in nested)
    paths = [path for path in await changed_paths(git, keep) if not f"{path}/".startswith(within)]
    return [path for path in paths if path not in before or before[path] != file_signature(slot.checkout / path)]


async def _write_tree(work: Git, slot: SlotDirectory, head: str, paths: list[str]) -> str | None:
    """Write the working tree as a tree object and return it; None if it equals the tree of HEAD."""
    there = dict.fromkeys(path for path in paths if exists_without_links(slot.checkout, path))
    gone = [f"0 {'0' * 40}\t{path}" for path in dict.fromkeys(paths) if path not in there]
    if gone:
        await work.run("update-index", "-z", "--index-info", stdin=_listing(gone))
    if there:
        await work.run("update-index", "-z", "--add", "--replace", "--stdin", stdin=_listing([*there]))
    tree = await work.text("write-tree")
    return None if tree == await work.text("rev-parse", f"{head}^{{tree}}") else tree


def _files(slot: SlotDirectory, paths: list[str], notes: list[str], most_bytes: int) -> list[str]:
    """Return the files of `paths`, and those inside repositories that the agent made, if they are not too large."""
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
        if size > most_bytes or len(kept) > MAX_CHANGED_FILES:
            raise WorkspaceError(f"the changed files are more than KEPT_WORK_MAX_BYTES ({most_bytes}) or too many")
    return kept


def _inside(root: Path, path: str) -> list[str]:
    names = []
    for parent, directories, files in os.walk(root / path):
        directories[:] = [name for name in directories if name != ".git"]
        links = [name for name in directories if Path(parent, name).is_symlink()]
        names += [Path(parent, name) for name in (*files, *links) if name != ".git"]
    return [str(name.relative_to(root)) for name in names if is_file_or_link(name)]


def _size(root: Path, names: list[str]) -> int:
    found = (file_signature(root / name) for name in names)
    return sum(facts[0] for facts in found if facts)


def _listing(entries: list[str]) -> bytes:
    return b"".join(os.fsencode(entry) + b"\0" for entry in entries)
