"""Removes unused files from the state directory."""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from agent.domain.errors import AgentError
from agent.system.files import remove
from agent.workspaces.workspaces import Workspaces
from deployments.host.run_records import RunRecords

GRACE_SECONDS = 3600.0
"""A file younger than this may belong to a run that is starting."""

MAX_LOG_BYTES = 20 * 1024 * 1024

_TEMPORARY = re.compile(r"\..+\.\d+\.[0-9a-f]{8}")
"""The name that `agent.system.files.write` gives a file until it is complete."""

_DIRECTORIES = (".", "host", "host/runs", "mirrors", "kept", "slots/*", "prefect")
"""Directories with such files: never a checkout, where an agent may use any name."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StateCleanup:
    """The clean-up of one host's state directory; made at its start."""

    workspaces: Workspaces
    records: RunRecords
    capacity: int
    grace_seconds: float = GRACE_SECONDS

    async def vacate_slots(self) -> None:
        """Remove slots past the capacity, left from a larger one; unpushed work in them is kept first."""
        for directory in self._slots_past_capacity():
            try:
                await self.workspaces.vacate(directory)
                _log.info("removed the slot %s: this host has %d now", directory.name, self.capacity)
            except (AgentError, OSError) as error:
                _log.warning("the slot %s could not be removed: %s", directory.name, error)

    def remove_files(self) -> int:
        """Remove run directories without a run and incomplete files, and truncate a long log; blocks."""
        removed = 0
        for path in (*self._dead_runs(), *self._incomplete_files()):
            with contextlib.suppress(OSError):
                remove(path)
                removed += 1
        if removed:
            _log.info("removed %d unused files from %s", removed, self._state_dir)
        with contextlib.suppress(OSError):
            truncate_log(self._state_dir / "prefect" / "server.log")
        return removed

    @property
    def _state_dir(self) -> Path:
        return self.workspaces.settings.state_dir

    def _slots_past_capacity(self) -> list[Path]:
        in_use = {record.slot for run_id in self._recorded_runs() if (record := self.records.read(run_id))}
        numbered = [path for path in (self._state_dir / "slots").glob("*") if path.name.isdecimal()]
        return [path for path in numbered if int(path.name) >= self.capacity and int(path.name) not in in_use]

    def _dead_runs(self) -> Iterator[Path]:
        """Directories of runs that neither run nor wait to be resumed."""
        for path in (self._state_dir / "runs").glob("*"):
            with contextlib.suppress(ValueError, OSError):
                if UUID(path.name) not in self._recorded_runs() and self._is_old(path):
                    yield path

    def _incomplete_files(self) -> Iterator[Path]:
        for place in _DIRECTORIES:
            for path in self._state_dir.glob(f"{place}/.*"):
                with contextlib.suppress(OSError):
                    if _TEMPORARY.fullmatch(path.name) and self._is_old(path):
                        yield path

    def _recorded_runs(self) -> Collection[UUID]:
        return {*self.records.running, *self.records.left_behind()}

    def _is_old(self, path: Path) -> bool:
        return path.lstat().st_mtime < time.time() - self.grace_seconds


def truncate_log(log: Path, max_bytes: int = MAX_LOG_BYTES) -> None:
    """Empty the file once it is longer than `max_bytes`; a copy stays beside it as `.1`. Its writer must append."""
    if log.stat().st_size > max_bytes:
        shutil.copyfile(log, log.with_name(f"{log.name}.1"))
        with log.open("r+b") as file:
            file.truncate(0)
