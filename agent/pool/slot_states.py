"""What stands ready in each slot of a host: a checkout that nobody has had, and a process that waits in it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from agent.claude.process_spec import ProcessSpec
from agent.domain.checkout import Snapshot
from agent.pool.slots import Slot
from agent.pool.warm_process import WarmProcess

REFUSALS = 3
"""So often in a row a spare may be of no use; then the CLI is not one that knows them."""

_log = logging.getLogger(__name__)


@dataclass
class SlotState:
    """One slot's; whoever changes the checkout has the lock."""

    slot: Slot
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    ready: Snapshot | None = None
    """What the checkout is at, while nobody has had it."""
    parked: WarmProcess | None = None


class SlotStates:
    """All of a host's, by the number of the slot."""

    def __init__(self, slots: list[Slot]) -> None:
        self.all = [SlotState(slot) for slot in slots]
        self.tally = PoolCounters()
        self._newest: dict[tuple[str, str | None], Snapshot] = {}
        self._refusals = 0
        self._leaving: set[asyncio.Task[None]] = set()

    def of(self, slot: Slot) -> SlotState:
        """The one of that slot."""
        return self.all[slot.index]

    @property
    def parked(self) -> list[WarmProcess]:
        """The processes that wait."""
        return [berth.parked for berth in self.all if berth.parked is not None]

    @property
    def spares_work(self) -> bool:
        """Whether this CLI is one that can be started before its agent is known."""
        return self._refusals < REFUSALS

    def note(self, workspace: str, ref: str | None, snapshot: Snapshot) -> None:
        """Remember the newest state of what a request names so."""
        self._newest[workspace, ref] = snapshot

    def newest(self, mold: ProcessSpec) -> Snapshot | None:
        """The newest state that is known of what `mold` starts from."""
        return self._newest.get((mold.workspace, mold.ref))

    def is_newest(self, parked: WarmProcess) -> bool:
        """Whether it began in what is still the newest state."""
        newest = self.newest(parked.mold)
        return newest is None or is_same(parked.checkout.snapshot, newest)

    def note_use(self, parked: WarmProcess) -> None:
        """It has become a run's."""
        self._refusals = 0 if not parked.hot else self._refusals

    def note_refusal(self, parked: WarmProcess, reason: str) -> None:
        """It could not become a run's."""
        _log.info("a parked process is of no use: %s", reason)
        if not parked.hot:
            self._refusals += 1
            if self._refusals == REFUSALS:
                _log.warning("no spare is kept any more, this CLI does not take them: %s", reason)

    def dismiss(self, berth: SlotState) -> None:
        """End what waits there, without making anybody wait."""
        if berth.parked is not None:
            self.tally.replacements += 1
            self.send_away(berth.parked)
            berth.parked = None

    def send_away(self, parked: WarmProcess) -> None:
        """End it, without making anybody wait."""
        task = asyncio.create_task(parked.close())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def clear(self) -> None:
        """End all of them, and return when none is left."""
        for berth in self.all:
            self.dismiss(berth)
        await asyncio.gather(*self._leaving, return_exceptions=True)


def is_same(one: Snapshot, other: Snapshot) -> bool:
    """Whether the same checkout would be made of both."""
    when = {"fetched_at": other.fetched_at, "stale": other.stale, "stale_reason": other.stale_reason}
    return one.model_copy(update=when) == other


@dataclass
class PoolCounters:
    """One host's, since its start."""

    hits: int = 0
    """Runs that got a parked CLI."""
    misses: int = 0
    """Runs that had to start one."""
    replacements: int = 0
    """Parked CLIs that were ended without a run, e.g. because the commit they were started on is old."""
