"""Repairs a damaged mirror: stale locks, partial packs, missing or corrupt objects."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

from agent.git.git import Git, GitError
from agent.system.files import remove

# What git prints when the remote or the way to it is at fault.
REMOTE_FAILURES = (
    *("could not read from remote", "could not resolve", "unable to access", "connection", "authentication failed"),
    *("terminal prompts disabled", "repository not found", "does not appear to be a git repository", "the remote end"),
    *("early eof", "http request failed", "not allowed", "couldn't find remote ref", "no space left", "disk quota"),
)


def clear_locks(mirror: Path) -> bool:
    """Remove stale lock files; call it only while the mirror is locked. True if there were any."""
    stale = list(mirror.rglob("*.lock"))
    for path in stale:
        remove(path)
    return bool(stale)


def clear_half_packs(mirror: Path) -> None:
    """Remove the partial packs of an interrupted fetch; call it only while the mirror is locked."""
    for pattern in ("pack/tmp_*", "pack/.tmp-*", "??/tmp_obj_*", "tmp_objdir-*"):
        for path in (mirror / "objects").glob(pattern):
            remove(path)


def is_remote_failure(error: GitError) -> bool:
    """True if the remote or the way to it explains the failure, and not the mirror."""
    said = error.stderr_tail.lower()
    return error.exit_status is None or any(sign in said for sign in REMOTE_FAILURES)


async def is_sound(git: Git) -> bool:
    """True if every object that the mirror's refs reach is there and intact."""
    try:
        await git.run("fsck", "--full", "--no-dangling", "--no-progress")
    except GitError as error:
        # a check that runs out of time is no reason to throw a mirror away
        return error.exit_status is None
    return True


def retired_path(path: Path) -> Path:
    """Return the name that a broken mirror gets now."""
    return path.with_name(f"{path.name}.broken-{int(time.time())}")


def retire(path: Path, retired: Path) -> None:
    """Rename a broken mirror; sandboxes that have its objects mounted, and kept work, go on reading them."""
    remove(retired)
    path.rename(retired)
    # its age counts from now
    os.utime(retired)


def delete_retired(mirrors: Path, limit: datetime) -> None:
    """Delete the broken mirrors that were renamed before that moment."""
    for path in mirrors.glob("*.broken-*"):
        if datetime.fromtimestamp(path.lstat().st_mtime, UTC) < limit:
            remove(path)
