"""Reads the commits named in a .git directory that an agent could write, without running git in it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from agent.system.openat import FILE_BYTES, read_inside

SHA = re.compile(rb"[0-9a-f]{40}")


MAX_REFS = 10_000
OBJECT = re.compile(r"[0-9a-f]{38}|pack-[0-9a-f]{40}\.(?:pack|idx)")
OBJECT_DIRECTORY = re.compile(r"[0-9a-f]{2}|pack")


@dataclass(frozen=True)
class UntrustedRefs:
    """The commits that a git directory names: HEAD, its branch, and all others by name."""

    head: str | None = None
    branch: str | None = None
    others: dict[str, str] = field(default_factory=dict)

    @property
    def all(self) -> list[str]:
        """Return every commit named, HEAD first, each once."""
        return list(dict.fromkeys([*([self.head] if self.head else []), *self.others.values()]))


def read_untrusted_refs(git_dir: Path, given: bytes = b"") -> UntrustedRefs:
    """Return the commits that the git directory names; empty if it is no git directory.

    `given` is the content of packed-refs that it began with: those refs are left out while nothing changed the file.
    """
    try:
        root = os.open(git_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return UntrustedRefs()
    try:
        refs = _refs(root, given)
        head, branch = _head(read_inside(root, "HEAD"), refs)
        if head is None and branch is not None:
            head = _given_object(given, branch)
        stashes = {f"stash@{sha}": sha for sha in _reflog(read_inside(root, "logs/refs/stash"))}
        worktrees = {f"worktree {name}": sha for name, sha in _worktrees(root, refs)}
        local = {name: sha for name, sha in refs.items() if not name.startswith("refs/remotes/")}
        return UntrustedRefs(head, branch, {**local, **stashes, **worktrees})
    finally:
        os.close(root)


def read_ref_files(git_dir: Path) -> dict[str, str]:
    """Return the refs of a git directory that git itself may no longer be able to read."""
    try:
        root = os.open(git_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return {}
    try:
        return _refs(root)
    finally:
        os.close(root)


def link_objects(git_dir: Path, target: Path) -> None:
    """Link the repository's own objects into the directory `target`: plain files with an object's name, no more."""
    for directory, name, descriptor in _objects(git_dir):
        if stat.S_ISREG(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode):
            (target / directory).mkdir(exist_ok=True)
            os.link(name, target / directory / name, src_dir_fd=descriptor, follow_symlinks=False)


def _objects(git_dir: Path) -> Iterator[tuple[str, str, int]]:
    try:
        root = os.open(git_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        for parent, directories, files, descriptor in _walk(root, "objects"):
            if parent == "objects":
                directories[:] = [name for name in directories if OBJECT_DIRECTORY.fullmatch(name)]
                continue
            directories.clear()
            for name in files:
                if OBJECT.fullmatch(name):
                    yield parent.removeprefix("objects/"), name, descriptor
    finally:
        os.close(root)


def _walk(root: int, name: str) -> Iterator[tuple[str, list[str], list[str], int]]:
    try:
        yield from os.fwalk(name, dir_fd=root)
    except FileNotFoundError:
        return


def _refs(root: int, given: bytes = b"") -> dict[str, str]:
    packed = read_inside(root, "packed-refs", len(given) + FILE_BYTES)
    return {**({} if packed == given else _packed(packed)), **dict(_loose(root))}


def _given_object(given: bytes, name: str) -> str | None:
    full = name if name.startswith("refs/") else f"refs/heads/{name}"
    found = given.find(f" {full}\n".encode())
    return given[found - 40 : found].decode() if found >= 40 else None


def _loose(root: int) -> Iterator[tuple[str, str]]:
    count = 0
    for parent, _, files, _ in _walk(root, "refs"):
        for name in files:
            count += 1
            if count > MAX_REFS:
                return
            path = f"{parent}/{name}"
            if (sha := _sha(read_inside(root, path, 41))) and _is_printable(path):
                yield path, sha


def _packed(content: bytes) -> dict[str, str]:
    refs = {}
    for line in content.splitlines()[: 100 * MAX_REFS]:
        sha, _, name = line.partition(b" ")
        text = name.decode(errors="replace")
        if SHA.fullmatch(sha) and _is_printable(text):
            refs[text] = sha.decode()
    return refs


def _head(content: bytes, refs: dict[str, str]) -> tuple[str | None, str | None]:
    text = content[:4096].decode(errors="replace").strip()
    if text.startswith("ref: "):
        name = text.removeprefix("ref: ").strip()
        return refs.get(name), name.removeprefix("refs/heads/") if _is_printable(name) else None
    return _sha(content), None


def _reflog(content: bytes) -> list[str]:
    lines = [line.split(b" ", 2) for line in content.splitlines()[-MAX_REFS:]]
    return [line[1].decode() for line in lines if len(line) > 1 and SHA.fullmatch(line[1])]


def _worktrees(root: int, refs: dict[str, str]) -> Iterator[tuple[str, str]]:
    try:
        directory = os.open("worktrees", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=root)
    except OSError:
        return
    try:
        with os.scandir(directory) as entries:
            names = [entry.name for entry in islice(entries, 100)]
        for name in names:
            head, _ = _head(read_inside(directory, f"{name}/HEAD", 4096), refs)
            if head and _is_printable(name):
                yield name, head
    finally:
        os.close(directory)


def _sha(content: bytes) -> str | None:
    found = SHA.match(content)
    return found.group().decode() if found else None


def _is_printable(name: str) -> bool:
    return len(name) <= 500 and name.isprintable()
