"""Removes from a state directory what nobody will ask for any more."""

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
"""What is younger may belong to something that begins just now."""

LONGEST_LOG_BYTES = 20 * 1024 * 1024

_TEMPORARY = re.compile(r"\..+\.\d+\.[0-9a-f]{8}")
"""What `agent.system.files.write` names a file until it is whole."""

_WRITTEN = (".", "host", "host/runs", "mirrors", "slots/*", "prefect")
"""Where such files may be left: never in a checkout, where an agent may name files as it likes."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StateCleanup:
    """Those of one host."""

    workspaces: Workspaces
    in_flight: RunRecords
    capacity: int
    grace_seconds: float = GRACE_SECONDS

    async def vacate_slots(self) -> None:
        """Remove the slots past the capacity, which was larger once; unpushed work in them is kept first."""
        for directory in self._slots_past_capacity():
            try:
                await self.workspaces.vacate(directory)
                _log.info("removed the slot %s: this host has %d now", directory.name, self.capacity)
            except (AgentError, OSError) as error:
                _log.warning("the slot %s could not be removed: %s", directory.name, error)

    def remove_files(self) -> int:
        """Remove run directories without a run, half-written files, and the old part of a long log; blocks."""
        removed = 0
        for path in (*self._dead_runs(), *self._half_written()):
            with contextlib.suppress(OSError):
                remove(path)
                removed += 1
        if removed:
            _log.info("removed %d leftovers from %s", removed, self._state_dir)
        with contextlib.suppress(OSError):
            cut(self._state_dir / "prefect" / "server.log")
        return removed

    @property
    def _state_dir(self) -> Path:
        return self.workspaces.settings.state_dir

    def _slots_past_capacity(self) -> list[Path]:
        spoken_for = {where.slot for run_id in self._noted() if (where := self.in_flight.whereabouts(run_id))}
        numbered = [path for path in (self._state_dir / "slots").glob("*") if path.name.isdecimal()]
        return [path for path in numbered if int(path.name) >= self.capacity and int(path.name) not in spoken_for]

    def _dead_runs(self) -> Iterator[Path]:
        """Directories of runs that are not at work, and that nobody left to be carried on."""
        for path in (self._state_dir / "runs").glob("*"):
            with contextlib.suppress(ValueError, OSError):
                if UUID(path.name) not in self._noted() and self._is_old(path):
                    yield path

    def _half_written(self) -> Iterator[Path]:
        for place in _WRITTEN:
            for path in self._state_dir.glob(f"{place}/.*"):
                with contextlib.suppress(OSError):
                    if _TEMPORARY.fullmatch(path.name) and self._is_old(path):
                        yield path

    def _noted(self) -> Collection[UUID]:
        return {*self.in_flight.at_work, *self.in_flight.left()}

    def _is_old(self, path: Path) -> bool:
        return path.lstat().st_mtime < time.time() - self.grace_seconds


def cut(log: Path, longest_bytes: int = LONGEST_LOG_BYTES) -> None:
    """Begin the file anew once it is long; what was in it is beside it, as `.1`. Its writer must append."""
    if log.stat().st_size > longest_bytes:
        shutil.copyfile(log, log.with_name(f"{log.name}.1"))
        with log.open("r+b") as file:
            file.truncate(0)
