"""A copy of a state directory, taken while the service runs, from which another service can start."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from agent.git.git import ENVIRONMENT

_DATABASES = ("prefect/prefect.db", "store.sqlite3")
"""In this order: a run's outcome is in the store before its end is in Prefect."""

_FILES = ("prefect/auth-string", "host/id", "mirrors/*.json", "mirrors/*.refs", "mirrors/*.remote")


class BackupFailed(Exception):
    """The copy is not whole; the message says what could not be copied."""


def back_up(state_dir: Path, target: Path) -> list[str]:
    """Copy what cannot be made again to `target`, which must not exist; gives what there is, by its place.

    Databases by SQLite's own online copy, mirrors by git: with all that agents left unpushed. Slots, logs and what runs
    had at work are left out. Raises BackupFailed.
    """
    if target.exists():
        raise BackupFailed(f"{target} is there already; name a new directory")
    target.mkdir(mode=0o700, parents=True)
    copied = []
    try:
        for name in _DATABASES:
            copied += _copy_database(state_dir / name, state_dir, target)
        for mirror in sorted((state_dir / "mirrors").glob("*.git")):
            copied += _copy_mirror(mirror, state_dir, target)
        for path in (path for pattern in _FILES for path in state_dir.glob(pattern)):
            shutil.copyfile(path, _place(path, state_dir, target))
            copied.append(str(path.relative_to(state_dir)))
        if (state_dir / "secrets").is_dir():
            shutil.copytree(state_dir / "secrets", target / "secrets")
            copied.append("secrets")
    except (OSError, sqlite3.Error, subprocess.CalledProcessError) as error:
        raise BackupFailed(f"{error}; {target} is not whole, remove it") from error
    return copied


def _copy_database(database: Path, state_dir: Path, target: Path) -> list[str]:
    if not database.exists():
        return []
    place = _place(database, state_dir, target)
    with (
        closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(place)) as to,
    ):
        source.backup(to)
        if (said := to.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
            raise BackupFailed(f"the copy of {database} is not sound: {said}")
    return [str(database.relative_to(state_dir))]


def _copy_mirror(mirror: Path, state_dir: Path, target: Path) -> list[str]:
    place = _place(mirror, state_dir, target)
    command = ["git", "clone", "--quiet", "--mirror", "--template=", "--no-hardlinks", str(mirror), str(place)]
    environment = {**ENVIRONMENT, "PATH": os.environ.get("PATH", os.defpath)}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return [str(mirror.relative_to(state_dir))]


def _place(path: Path, state_dir: Path, target: Path) -> Path:
    place = target / path.relative_to(state_dir)
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return place
