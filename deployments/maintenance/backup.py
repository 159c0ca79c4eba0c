"""Backs up a state directory while the service runs."""

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

_REPOSITORIES = ("mirrors/*.git", "kept/*.git")
"""Mirrors, then the unpushed work of agents, which borrows objects of a mirror."""

_FILES = ("api-token", "prefect/auth-string", "host/id", "mirrors/*.json", "mirrors/*.listing", "mirrors/*.remote")


class BackupFailed(Exception):
    """The copy is incomplete; the message says which part could not be copied."""


def back_up(state_dir: Path, target: Path) -> list[str]:
    """Copy databases, mirrors, keys and secrets to `target`, which must not exist, and return the copied paths.

    Databases are copied by SQLite's online backup, mirrors by git, with the unpushed work of agents. Slots, logs and
    the files of running agents are left out. `missing_databases` says what is kept elsewhere. Raises BackupFailed.
    """
    if target.exists():
        raise BackupFailed(f"{target} exists already; name a new directory")
    if missing_databases(state_dir) == list(_DATABASES) and not (state_dir / "mirrors").is_dir():
        raise BackupFailed(f"{state_dir} is no state directory: nothing of the service is there; set STATE_DIR")
    target.mkdir(mode=0o700, parents=True)
    copied = []
    try:
        for name in _DATABASES:
            copied += _copy_database(state_dir / name, state_dir, target)
        for repository in sorted(path for place in _REPOSITORIES for path in state_dir.glob(place)):
            copied += _copy_repository(repository, state_dir, target)
        for path in (path for pattern in _FILES for path in state_dir.glob(pattern)):
            shutil.copyfile(path, _target_path(path, state_dir, target))
            copied.append(str(path.relative_to(state_dir)))
        if (state_dir / "secrets").is_dir():
            shutil.copytree(state_dir / "secrets", target / "secrets")
            copied.append("secrets")
    except (OSError, sqlite3.Error, subprocess.CalledProcessError) as error:
        raise BackupFailed(f"{error}; {target} is incomplete; remove it") from error
    return copied


def missing_databases(state_dir: Path) -> list[str]:
    """Return the databases that are not under `state_dir`: a server of the operator has them, and its own backup."""
    return [name for name in _DATABASES if not (state_dir / name).exists()]


def _copy_database(database: Path, state_dir: Path, target: Path) -> list[str]:
    if not database.exists():
        return []
    copy = _target_path(database, state_dir, target)
    with (
        closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(copy)) as to,
    ):
        source.backup(to)
        if (finding := to.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
            raise BackupFailed(f"the copy of {database} is damaged: {finding}")
    return [str(database.relative_to(state_dir))]


def _copy_repository(repository: Path, state_dir: Path, target: Path) -> list[str]:
    copy = _target_path(repository, state_dir, target)
    # --no-local: what a repository borrows from another one is copied, too
    command = ["git", "clone", "--quiet", "--mirror", "--template=", "--no-local", str(repository), str(copy)]
    environment = {**ENVIRONMENT, "PATH": os.environ.get("PATH", os.defpath)}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return [str(repository.relative_to(state_dir))]


def _target_path(path: Path, state_dir: Path, target: Path) -> Path:
    place = target / path.relative_to(state_dir)
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return place
