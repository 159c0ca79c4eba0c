"""Records runs in progress on disk, so that the next host process can settle or resume them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

from agent.domain.checkout import Checkout
from agent.domain.values import Frozen
from agent.system.files import write

_CLAIM = "taken by the host "

_log = logging.getLogger(__name__)


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

    `host_id` is kept in the state directory: the same after each start, and different on each host, also on one whose
    directory is a copy of another's. With `is_alone` no other host uses this Prefect server.
    """

    def __init__(self, state_dir: Path, *, is_alone: bool = False) -> None:
        self._directory = state_dir / "host"
        self._runs = self._directory / "runs"
        self._runs.mkdir(parents=True, exist_ok=True)
        self._is_alone = is_alone
        self._former = self._directory / "former-ids"
        self.host_id = self._known_id()
        self.running: set[UUID] = set()

    @property
    def claim(self) -> str:
        """Return the message of the state of a run that this host has taken and not started yet."""
        return f"{_CLAIM}{self.host_id}"

    def is_own_claim(self, message: str | None) -> bool:
        """True if the message is the claim of this host, or of the one that its directory was copied from.

        The latter only if this host is alone with its Prefect server: the other may be alive, with runs at work.
        """
        if message is None or not is_claim(message):
            return False
        former = self._former_ids() if self._is_alone else []
        return message.removeprefix(_CLAIM) in {self.host_id, *former}

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
        return [run_id for run_id in self._recorded() if run_id not in self.running]

    def _known_id(self) -> str:
        path = self._directory / "id"
        place = str(self._directory.stat().st_ino)  # a copy of the directory has another one
        match path.read_text().split() if path.exists() else []:
            case [known, known_place] if known_place == place:
                return known
            case [known]:  # of an earlier version
                write(path, f"{known} {place}")
                return known
            case [former, *_]:
                self._leave_to(former)
        new = uuid4().hex[:12]
        write(path, f"{new} {place}")
        return new

    def _leave_to(self, former: str) -> None:
        """Leave the runs of the host that this directory was copied from to that host, if there may be one."""
        _log.warning("this state directory is a copy or was moved: its host has a new id; the former one is %s", former)
        write(self._former, "\n".join([*self._former_ids(), former]))
        if not self._is_alone:
            for run_id in list(self._recorded()):
                self.forget(run_id)

    def _former_ids(self) -> list[str]:
        return self._former.read_text().split() if self._former.exists() else []

    def _recorded(self) -> Iterator[UUID]:
        for path in self._runs.iterdir():
            with contextlib.suppress(ValueError):
                yield UUID(path.name)
