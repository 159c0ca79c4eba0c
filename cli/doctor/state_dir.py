"""Check of STATE_DIR: it must be writable, with free space, and only by this user."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

from agent.sandbox.mounts import is_there
from cli.doctor.context import DoctorContext
from cli.doctor.finding import Finding, broken, ok, warning
from cli.doctor.sandbox import in_container

MB = 1024 * 1024
LOW_BYTES = 2048 * MB
FEW_FILES = 1000


async def check_state(world: DoctorContext) -> list[Finding]:
    """Check STATE_DIR; if it does not exist yet, that it can be created."""
    state = world.agent.state_dir.absolute()
    place = next(path for path in (state, *state.parents) if is_there(path))
    try:
        with tempfile.TemporaryDirectory(dir=place, prefix=".agent-service-doctor-"):
            pass
    except OSError as error:
        text = f"{state} cannot be written: {error.strerror}"
        by_root = f"chown -R {os.geteuid()}" if place == state else f"install -d -m 700 -o {os.geteuid()}"
        return [broken("state", text, f"{by_root} {state}   (as root), or export STATE_DIR=…")]
    return [
        _room(place, world.host.min_free_disk_mb)
        or _rights(state)
        or ok("state", f"{state}, {_shown(shutil.disk_usage(place).free)} free")
    ]


def _room(place: Path, least_mb: int) -> Finding | None:
    free, files = shutil.disk_usage(place).free, os.statvfs(place)
    mend = f"free some space on its file system (df -h {place}), or export STATE_DIR=…"
    if files.f_files and files.f_favail < FEW_FILES:
        return broken("state", f"{place} has room for {files.f_favail} more files only", mend)
    if free < least_mb * MB:
        return broken(
            "state", f"{place} has {_shown(free)} left: below MIN_FREE_DISK_MB={least_mb} no work is taken", mend
        )
    return warning("state", f"{place} has {_shown(free)} left", mend) if free < LOW_BYTES else None


def _rights(state: Path) -> Finding | None:
    if not is_there(state):
        return ok("state", f"{state} is created by the first start")
    found = state.stat()
    if found.st_mode & 0o022 and not _is_group_volume(found):
        return warning("state", f"others can write in {state}", f"chmod go-w {state}")
    if found.st_uid != os.geteuid() and not _is_group_volume(found):
        return warning("state", f"{state} belongs to another user", f"chown -R {os.geteuid()} {state}")
    return None


def _is_group_volume(found: os.stat_result) -> bool:
    """True for a volume that is meant for a group: the image's for group 0, or one that Kubernetes gives (fsGroup)."""
    is_ours = found.st_gid in {os.getegid(), *os.getgroups()} and not found.st_mode & 0o002
    return is_ours and (in_container() or (found.st_uid == 0 and bool(found.st_mode & stat.S_ISGID)))


def _shown(size: int) -> str:
    return f"{size / (1024 * MB):.1f} GB" if size >= 1024 * MB else f"{size // MB} MB"
