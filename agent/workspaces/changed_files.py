"""Lists the files that an agent changed in its checkout, and not those that are merely there or merely missing."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from agent.git.git import Git, GitError
from agent.git.working_tree import changed_paths, file_signature, is_file_or_link
from agent.system.files import remove
from agent.workspaces.nested_repositories import NestedRepository
from agent.workspaces.slot_directory import SlotDirectory

POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\nsize (\d+)\n"
)
POINTER_BYTES = 1024


async def find_changed_files(
    git: Git, slot: SlotDirectory, base: str, keep: list[str], nested: Iterable[NestedRepository]
) -> list[str]:
    """List the changed files, without those of the post-checkout command and those in `nested`.

    A file that a sparse checkout leaves out is not gone, and one that git-lfs put in its pointer's place is the same.
    """
    before = await asyncio.to_thread(slot.read_baseline)
    within = tuple(f"{one.path}/" for one in nested)
    paths = [path for path in await changed_paths(git, keep) if not f"{path}/".startswith(within)]
    paths = [path for path in paths if path not in before or before[path] != file_signature(slot.checkout / path)]
    gone = {path for path in paths if not is_file_or_link(slot.checkout / path)}
    if gone:
        left_out = await _left_out(git, slot)
        paths = [path for path in paths if path not in gone or path not in left_out]
    smudged = await _smudged(git, slot, base, [path for path in paths if path not in gone])
    return [path for path in paths if path not in smudged]


async def _left_out(git: Git, slot: SlotDirectory) -> set[str]:
    """Return the files that the agent's own index leaves out of the checkout; it loses only its own work by a lie."""
    copy = slot.directory / "sparse"
    try:
        await asyncio.to_thread(_copy_index, slot.checkout / ".git", copy)
        listing = await git.at(_git_dir(git), slot.checkout, copy / "index").run("ls-files", "-t", "-z")
    except (GitError, OSError):
        return set()
    finally:
        await asyncio.to_thread(remove, copy)
    return {os.fsdecode(entry[2:]) for entry in listing.split(b"\0") if entry.startswith(b"S ")}


def _git_dir(git: Git) -> Path:
    return Path(git.environment["GIT_DIR"])


def _copy_index(git_dir: Path, target: Path) -> None:
    remove(target)
    target.mkdir()
    if git_dir.is_symlink():
        raise FileNotFoundError(git_dir)
    for source in (git_dir / "index", *git_dir.glob("sharedindex.*")):
        if source.is_file() and not source.is_symlink():
            shutil.copyfile(source, target / source.name)


async def _smudged(git: Git, slot: SlotDirectory, base: str, paths: list[str]) -> set[str]:
    """Return the files whose content is what the pointer in the index stands for, as `git lfs pull` leaves them.

    The pointer must be the one of the commit that the run began with: the content of a new one is on no remote yet.
    """
    # git answers line by line
    plain = [path for path in paths if "\n" not in path and not (slot.checkout / path).is_symlink()]
    pointers = await _pointers(git, base, plain)
    return await asyncio.to_thread(lambda: {path for path, oid in pointers.items() if _sha256(slot, path) == oid})


async def _pointers(git: Git, base: str, paths: list[str]) -> dict[str, bytes]:
    """Return the files that are the same LFS pointer in the commit and in the index, each with its content's hash."""
    if not paths:
        return {}
    names = [os.fsencode(path) for path in paths]
    asked = b"".join(b":%b\0%b:%b\0" % (name, base.encode(), name) for name in names)
    answers = await git.run("cat-file", "-z", "--batch-check=%(objectname) %(objectsize)", stdin=asked)
    lines = answers.splitlines()
    small: dict[str, bytes] = {}
    for path, now, before in zip(paths, lines[::2], lines[1::2], strict=True):
        oid, _, size = now.rpartition(b" ")
        if now == before and len(oid) == 40 and size.isdigit() and int(size) <= POINTER_BYTES:
            small[path] = oid
    if not small:
        return {}
    content = await git.run("cat-file", "--batch", stdin=b"".join(oid + b"\n" for oid in small.values()))
    pointers: dict[str, bytes] = {}
    start = 0
    for path in small:
        end = content.index(b"\n", start)
        after = end + 1 + int(content[start:end].split()[2])
        if found := POINTER.fullmatch(content[end + 1 : after]):
            pointers[path] = found[1]
        start = after + 1
    return pointers


def _sha256(slot: SlotDirectory, path: str) -> bytes:
    try:
        with (slot.checkout / path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest().encode()
    except OSError:
        return b""
