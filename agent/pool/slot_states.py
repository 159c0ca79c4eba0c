"""The state of each slot: its clean checkout and its warm process; counters of the pool."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from agent.claude.process_spec import ProcessSpec
from agent.domain.checkout import Snapshot
from agent.pool.slots import Slot
from agent.pool.warm_process import WarmProcess

MAX_REFUSALS = 3
"""After so many refused spares in a row the CLI is one that does not support them (`--await-claim`)."""

_log = logging.getLogger(__name__)


@dataclass
class SlotState:
    """What is prepared in one slot. Its checkout is changed under `lock` only."""

    slot: Slot
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    prepared: Snapshot | None = None
    """The snapshot of the checkout, while no run has used it."""
    process: WarmProcess | None = None
    closing: asyncio.Task[None] | None = None
    """The end of the process that was discarded last."""

    async def wait_closed(self) -> None:
        """Wait until no discarded process can write into the checkout any more, e.g. by a hook of its repository."""
        if self.closing is not None:
            await asyncio.wait([self.closing])
            self.closing = None


class SlotStates:
    """The states of all slots of a host, by the slot's number; made by the WarmPool."""

    def __init__(self, slots: list[Slot]) -> None:
        self.all = [SlotState(slot) for slot in slots]
        self.counters = PoolCounters()
        self._newest: dict[tuple[str, str | None], Snapshot] = {}
        self._refusals = 0
        self._closing: set[asyncio.Task[None]] = set()

    def of(self, slot: Slot) -> SlotState:
        """Return the state of that slot."""
        return self.all[slot.index]

    @property
    def processes(self) -> list[WarmProcess]:
        """The processes that wait for a run."""
        return [state.process for state in self.all if state.process is not None]

    @property
    def are_spares_supported(self) -> bool:
        """True unless this CLI has shown that it cannot be started before its agent is known."""
        return self._refusals < MAX_REFUSALS

    def note_newest(self, workspace: str, ref: str | None, snapshot: Snapshot) -> None:
        """Record the newest known snapshot of a workspace and ref."""
        self._newest[workspace, ref] = snapshot

    def newest(self, spec: ProcessSpec) -> Snapshot | None:
        """Return the newest known snapshot that `spec` starts from."""
        return self._newest.get((spec.workspace, spec.ref))

    def is_newest(self, process: WarmProcess) -> bool:
        """True if the process began in what is still the newest snapshot."""
        newest = self.newest(process.spec)
        return newest is None or is_same(process.checkout.snapshot, newest)

    def record_use(self, process: WarmProcess) -> None:
        """Record that a run has claimed the process."""
        self._refusals = 0 if not process.hot else self._refusals

    def record_refusal(self, process: WarmProcess, reason: str) -> None:
        """Record that no run could claim the process, and why."""
        _log.info("a warm process could not be used: %s", reason)
        if not process.hot:
            self._refusals += 1
            if self._refusals == MAX_REFUSALS:
                _log.warning(
                    "Pre-started claude processes keep exiting; pre-starting is off. "
                    "Runs still work, but start slower: %s",
                    reason,
                )

    def discard(self, state: SlotState) -> None:
        """Close the process of the slot in the background, if there is one."""
        if state.process is not None:
            self.counters.replacements += 1
            state.closing = self.close_in_background(state.process)
            state.process = None

    def close_in_background(self, process: WarmProcess) -> asyncio.Task[None]:
        """Close the process without making the caller wait."""
        task = asyncio.create_task(process.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        return task

    async def close_all(self) -> None:
        """Close all processes, and return when none is left."""
        for state in self.all:
            self.discard(state)
        await asyncio.gather(*self._closing, return_exceptions=True)


def is_same(one: Snapshot, other: Snapshot) -> bool:
    """True if both snapshots give the same checkout, whenever they were fetched and however their ref was spelt."""
    how = {name: getattr(other, name) for name in ("ref", "fetched_at", "stale", "stale_reason")}
    return one.model_copy(update=how) == other


@dataclass
class PoolCounters:
    """Counts since the host's start; exported as metrics."""

    hits: int = 0
    """Runs that got a warm process."""
    misses: int = 0
    """Runs that had to start a process."""
    replacements: int = 0
    """Warm processes that were closed without a run, e.g. because the commit they were started on is old."""
