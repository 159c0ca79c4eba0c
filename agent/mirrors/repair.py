"""Puts a mirror right that was left broken: locks of killed processes, half packs, lost or corrupt objects."""

from __future__ import annotations

import os
import time
from pathlib import Path

from agent.git.git import Git, GitError
from agent.git.git_directory import GitDir
from agent.git.untrusted_refs import read_refs
from agent.system.files import remove

KEPT_REFS = "refs/agent-runs/"
# What git says when the trouble is at the other end, or on the way there.
REMOTE_TROUBLE = (
    *("could not read from remote", "could not resolve", "unable to access", "connection", "authentication failed"),
    *("terminal prompts disabled", "repository not found", "does not appear to be a git repository", "the remote end"),
    *("early eof", "http request failed", "not allowed", "couldn't find remote ref", "no space left", "disk quota"),
)


def clear_locks(mirror: Path) -> bool:
    """Remove lock files that nobody holds any more; whether there were any. Only while the mirror is locked."""
    stale = [path for path in mirror.rglob("*.lock") if KEPT_REFS not in path.as_posix()]
    for path in stale:
        remove(path)
    return bool(stale)


def clear_half_packs(mirror: Path) -> None:
    """Remove what an interrupted fetch has begun to write. Only while the mirror is locked."""
    for pattern in ("pack/tmp_*", "pack/.tmp-*", "??/tmp_obj_*", "tmp_objdir-*"):
        for path in (mirror / "objects").glob(pattern):
            remove(path)


def is_remote_trouble(error: GitError) -> bool:
    """Whether the failure is explained without anything being wrong with the mirror."""
    said = error.stderr_tail.lower()
    return error.exit_status is None or any(sign in said for sign in REMOTE_TROUBLE)


async def is_sound(git: Git) -> bool:
    """Whether everything that the mirror's refs lead to is there and is what it says."""
    try:
        await git.run("fsck", "--full", "--no-dangling", "--no-progress")
    except GitError as error:
        # it cannot tell in time: then there is no reason to throw a mirror away
        return error.exit_status is None
    return True


async def carry_kept(git: Git, old: Path, new: Path) -> bool:
    """Fetch the kept work of the old mirror into the new one, as far as it can be read; whether all of it was."""
    refs = {name: sha for name, sha in read_refs(old).items() if name.startswith(KEPT_REFS)}
    view = new.with_name(f"{new.name}.view")
    try:
        lines = [f"{sha} {name}" for name, sha in refs.items()]
        GitDir("ref: refs/heads/none", old / "objects", "\n".join((*lines, "")), _shallow(old)).write(view)
        carried = [await _carry(git.at(new), view, f"+{name}:{name}") for name in refs]
    finally:
        remove(view)
    return all(carried)


def retire(path: Path) -> Path:
    """Move a broken mirror out of the way; cells that still read its objects go on reading them."""
    retired = path.with_name(f"{path.name}.broken-{int(time.time())}")
    remove(retired)
    path.rename(retired)
    # its age counts from now
    os.utime(retired)
    return retired


async def _carry(into: Git, old: Path, refspec: str) -> bool:
    try:
        await into.run("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--update-shallow", str(old), refspec)
    except GitError:
        return False
    return True


def _shallow(mirror: Path) -> bytes:
    try:
        return (mirror / "shallow").read_bytes()
    except FileNotFoundError:
        return b""
