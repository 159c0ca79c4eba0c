"""Records runs in progress on disk, so that the next host process can settle or resume them."""

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
    """True if the message of a run's state says that a host has taken the run."""
    return message is not None and message.startswith(_CLAIM)


class RunRecord(Frozen):
    """Where a run can be resumed if its host dies: written at its start and when its checkout is ready."""

    slot: int
    checkout: Checkout | None = None
    run_count: int
    """Prefect's count of the run's starts, with this one: past it, another host has started the run anew."""


class RunRecords:
    """The runs in progress of one state directory, one file each. One per host.

    `host_id` is kept in the state directory: the same after each start, and different on each host.
    """

    def __init__(self, state_dir: Path) -> None:
        self._directory = state_dir / "host"
        self._runs = self._directory / "runs"
        self._runs.mkdir(parents=True, exist_ok=True)
        self.host_id = self._known_id()
        self.running: set[UUID] = set()

    @property
    def claim(self) -> str:
        """Return the message of the state of a run that this host has taken and not started yet."""
        return f"{_CLAIM}{self.host_id}"

    @contextmanager
    def recorded(self, run_id: UUID, is_kept: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """While this is open the run is recorded as running here.

        The file stays behind after an exception, and if `is_kept` says so at the end.
        """
        (self._runs / str(run_id)).touch()
        self.running.add(run_id)
        try:
            yield
            if not is_kept():
                self.forget(run_id)
        finally:
            self.running.discard(run_id)

    def write(self, run_id: UUID, record: RunRecord) -> None:
        """Record where the run can be resumed."""
        write(self._runs / str(run_id), record.model_dump_json())

    def read(self, run_id: UUID) -> RunRecord | None:
        """Return where the run can be resumed; None if its file does not say."""
        try:
            return RunRecord.model_validate_json((self._runs / str(run_id)).read_text())
        except (OSError, ValueError):
            return None

    def forget(self, run_id: UUID) -> None:
        """Remove the file of a run that has its final state in Prefect."""
        (self._runs / str(run_id)).unlink(missing_ok=True)

    def left_behind(self) -> list[UUID]:
        """Return the runs that have a file and are not running in this process."""
        recorded = []
        for path in self._runs.iterdir():
            with contextlib.suppress(ValueError):
                recorded.append(UUID(path.name))
        return [run_id for run_id in recorded if run_id not in self.running]

    def _known_id(self) -> str:
        path = self._directory / "id"
        if not path.exists():
            write(path, uuid4().hex[:12])
        return path.read_text().strip()
