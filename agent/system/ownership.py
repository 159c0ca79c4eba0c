"""Lock files that say which process owns a directory, and since when."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from agent.domain.errors import NotConfigured

HOST_LOCK = Path("host/lock")
PREFECT_LOCK = Path("prefect/lock")
"""Relative to STATE_DIR: it has one host and one Prefect server, in one process or in two."""

OTHER_STATE_DIR = "end that first, or set STATE_DIR to another directory"

ENDING_SECONDS = 60.0
"""An owner whose parent is gone ends by itself within this time."""

_POLL_SECONDS = 0.2

_log = logging.getLogger(__name__)


@contextmanager
def owning(path: Path, remedy: str, is_cancelled: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Own the directory of the lock file `path` while this is open, also through a SIGKILL of this process.

    Waits for an owner that is about to end because its parent is gone, unless `is_cancelled`. Raises NotConfigured,
    with `remedy`, while another process owns it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+", buffering=0) as file:
        _lock(file, path, remedy, is_cancelled)
        with contextlib.suppress(OSError):  # a full disk: the lock holds, it only cannot say whose it is
            file.truncate(0)
            file.write(_statement())
        yield
        # closing the file releases the lock; removing it would let two processes lock two files of one name


def check_free(path: Path, remedy: str, is_cancelled: Callable[[], bool] = lambda: False) -> None:
    """Raise NotConfigured if a process owns the directory of `path` now."""
    if path.exists():
        with path.open("ab+", buffering=0) as file:
            _lock(file, path, remedy, is_cancelled)


def _lock(file: BinaryIO, path: Path, remedy: str, is_cancelled: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ENDING_SECONDS
    while not _try_lock(file):
        owner = _read(path)
        if is_cancelled() or not _is_ending(owner) or time.monotonic() > deadline:
            raise NotConfigured(f"{path.parent.parent} is used by {_name(owner)}; {remedy}")
        time.sleep(_POLL_SECONDS)


def _try_lock(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        _log.warning("%s cannot be locked, a second host on it would not be noticed: %s", file.name, error)
    return True


def _statement() -> bytes:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    owner = {"pid": os.getpid(), "parent": os.getppid(), "machine": socket.gethostname(), "since": since}
    return json.dumps(owner).encode()


def _read(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        owner = json.loads(path.read_bytes())
        if isinstance(owner, dict):
            return owner
    return {}


def _is_ending(owner: dict[str, Any]) -> bool:
    parent = owner.get("parent")
    if owner.get("machine") != socket.gethostname() or not isinstance(parent, int):
        return False
    try:
        os.kill(parent, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _name(owner: dict[str, Any]) -> str:
    if "pid" not in owner:
        return "another process"
    machine = "" if owner.get("machine") == socket.gethostname() else f" on {owner.get('machine')}"
    return f"process {owner['pid']}{machine} since {owner.get('since')}"
