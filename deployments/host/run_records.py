"""What a host has at work, in files: whoever starts on its state directory after it knows what it has left behind."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

from agent.domain.checkout import Checkout
from agent.domain.values import Frozen
from agent.system.files import write

_CLAIM = "taken by the host "


def is_claim(message: str | None) -> bool:
    """Whether the message of a run's state says that some host has taken it."""
    return message is not None and message.startswith(_CLAIM)


class RunRecord(Frozen):
    """Where a run is at work that is to be carried on if its host does not live to end it."""

    slot: int
    checkout: Checkout | None = None
    run_count: int
    """Prefect's count of its beginnings, with this one: past it, somebody else has begun it anew."""


class RunRecords:
    """One state directory's runs; its host's name is the same after each start, and no other host's."""

    def __init__(self, state_dir: Path) -> None:
        self._directory = state_dir / "host"
        self._runs = self._directory / "runs"
        self._runs.mkdir(parents=True, exist_ok=True)
        self.host_id = self._known_id()
        self.at_work: set[UUID] = set()

    @property
    def claim(self) -> str:
        """What the state of a run says that this host has taken and not started yet."""
        return f"{_CLAIM}{self.host_id}"

    @contextmanager
    def noted(self, run_id: UUID, is_kept: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """While this is open the run is at work here.

        Whoever leaves by an exception, or says so, leaves its note behind.
        """
        note = self._runs / str(run_id)
        note.touch()
        self.at_work.add(run_id)
        try:
            yield
            if not is_kept():
                self.forget(run_id)
        finally:
            self.at_work.discard(run_id)

    def write(self, run_id: UUID, whereabouts: RunRecord) -> None:
        """Have the note say where the run is at work."""
        write(self._runs / str(run_id), whereabouts.model_dump_json())

    def whereabouts(self, run_id: UUID) -> RunRecord | None:
        """Where the run was at work, if its note says so."""
        try:
            return RunRecord.model_validate_json((self._runs / str(run_id)).read_text())
        except (OSError, ValueError):
            return None

    def forget(self, run_id: UUID) -> None:
        """The run has ended, as everybody can see in Prefect."""
        (self._runs / str(run_id)).unlink(missing_ok=True)

    def left(self) -> list[UUID]:
        """The runs that have a note, and are not at work."""
        noted = []
        for path in self._runs.iterdir():
            with contextlib.suppress(ValueError):
                noted.append(UUID(path.name))
        return [run_id for run_id in noted if run_id not in self.at_work]

    def _known_id(self) -> str:
        path = self._directory / "id"
        if not path.exists():
            write(path, uuid4().hex[:12])
        return path.read_text().strip()
