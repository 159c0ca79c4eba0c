"""The slots of a host: capacity, first-come first-served waiting, preference among free slots."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from pathlib import Path

from agent.domain.errors import AgentBusy
from agent.domain.values import Frozen
from agent.system.machine import Machine

_MEMORY_PER_AGENT = 400 * 1024 * 1024  # an idle CLI takes 170 MB, one that runs tools 220 to 290 MB
_AGENTS_PER_CORE = 4  # an agent waits for the model most of the time
_MAX_DEFAULT_CAPACITY = 10  # more at once is a decision of the operator's: AGENT_CAPACITY


def default_capacity(machine: Machine) -> int:
    """Return how many agents the machine carries at once, or the container that the service runs in."""
    by_memory = int(machine.available_bytes / _MEMORY_PER_AGENT)
    by_processors = int(machine.processors * _AGENTS_PER_CORE)
    return max(1, min(_MAX_DEFAULT_CAPACITY, by_processors, by_memory))


class Slot(Frozen):
    """Room for one agent at a time, with a directory that no other slot uses."""

    index: int
    directory: Path


Preference = Callable[[Slot], int]
"""Ranks the free slots for a run: the highest wins; of equals the first."""


class Slots:
    """The slots of one host, made by its Runtime; waiting callers get them in the order they asked.

    `on_released` is called each time a slot is free again.
    """

    def __init__(self, capacity: int, directory: Path, on_released: Callable[[], None] = lambda: None) -> None:
        self.capacity = capacity
        self._free = [Slot(index=index, directory=directory / str(index)) for index in range(capacity)]
        self._queue: deque[asyncio.Future[Slot]] = deque()
        self._on_released = on_released

    @property
    def free(self) -> int:
        """The number of agents that could start at once."""
        return len(self._free)

    @property
    def waiting(self) -> int:
        """The number of callers that wait for a slot."""
        return len(self._queue)

    async def acquire(self, wait_seconds: float | None = None, prefer: Preference | None = None) -> Slot:
        """Return a free slot, the best by `prefer`; the caller releases it.

        Raises AgentBusy if none became free within `wait_seconds`.
        """
        if self._free and not self._queue:
            slot = max(self._free, key=prefer) if prefer else self._free[0]
            self._free.remove(slot)
            return slot
        turn: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            async with asyncio.timeout(wait_seconds):
                return await turn
        except (TimeoutError, asyncio.CancelledError) as error:
            self._leave_queue(turn)
            if isinstance(error, TimeoutError):
                raise AgentBusy from None
            raise

    def acquire_index(self, index: int) -> Slot | None:
        """Return the slot of that number, for the caller to release; None if it is in use or does not exist."""
        found = next((slot for slot in self._free if slot.index == index), None)
        if found is not None:
            self._free.remove(found)
        return found

    def swap(self, slot: Slot, prefer: Preference) -> Slot:
        """Exchange an acquired slot for a free one that `prefer` ranks higher; return the one to use."""
        best = max([slot, *self._free], key=prefer)
        if best != slot:
            self._free.remove(best)
            self.release(slot)
        return best

    def is_free(self, slot: Slot) -> bool:
        """True if no run has the slot."""
        return slot in self._free

    def all_free(self) -> list[Slot]:
        """Return the slots that no run has."""
        return list(self._free)

    def release(self, slot: Slot) -> None:
        """End the use of `slot`: the first waiting caller gets it.

        Raises ValueError if it is free already: two runs would share it.
        """
        if slot in self._free:
            raise ValueError(f"slot {slot.index} is free already; it was released twice")
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(slot)
                return
        self._free.append(slot)
        self._free.sort(key=lambda one: one.index)
        self._on_released()

    def _leave_queue(self, turn: asyncio.Future[Slot]) -> None:
        if turn in self._queue:
            self._queue.remove(turn)
        # the slot came at the very moment its caller left
        if turn.done() and not turn.cancelled():
            self.release(turn.result())
