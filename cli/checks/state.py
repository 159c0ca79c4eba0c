"""STATE_DIR: can it be written, is there room, and can nobody else change it?"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from cli.checks.finding import Finding, broken, ok, warning
from cli.checks.world import World

MB = 1024 * 1024
LITTLE_BYTES, TOO_LITTLE_BYTES = 2048 * MB, 256 * MB
FEW_FILES = 1000


async def check_state(world: World) -> list[Finding]:
    """Where it is not there yet: whether it can be made."""
    state = world.agent.state_dir.absolute()
    place = next(path for path in (state, *state.parents) if path.exists())
    try:
        with tempfile.TemporaryDirectory(dir=place, prefix=".agent-service-doctor-"):
            pass
    except OSError as error:
        text = f"{state} cannot be written: {error.strerror}"
        return [broken("state", text, f"chown -R {os.geteuid()} {state}, or export STATE_DIR=…")]
    return [_room(place) or _rights(state) or ok("state", f"{state}, {_shown(shutil.disk_usage(place).free)} free")]


def _room(place: Path) -> Finding | None:
    free, files = shutil.disk_usage(place).free, os.statvfs(place)
    mend = f"free some space on its file system (df -h {place}), or export STATE_DIR=…"
    if files.f_files and files.f_favail < FEW_FILES:
        return broken("state", f"{place} has room for {files.f_favail} more files only", mend)
    if free < TOO_LITTLE_BYTES:
        return broken("state", f"{place} has {_shown(free)} left: the next run may not end well", mend)
    return warning("state", f"{place} has {_shown(free)} left", mend) if free < LITTLE_BYTES else None


def _rights(state: Path) -> Finding | None:
    if not state.exists():
        return ok("state", f"{state} is made by the first start")
    found = state.stat()
    if found.st_mode & 0o022:
        return warning("state", f"others can write in {state}", f"chmod go-w {state}")
    if found.st_uid != os.geteuid():
        return warning("state", f"{state} belongs to another user", f"chown -R {os.geteuid()} {state}")
    return None


def _shown(size: int) -> str:
    return f"{size / (1024 * MB):.1f} GB" if size >= 1024 * MB else f"{size // MB} MB"
