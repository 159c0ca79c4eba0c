"""The host's capacity: so many agents at once, and an orderly line for the rest."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from agent.domain.errors import AgentBusy
from agent.domain.values import Frozen

_MEMORY_PER_AGENT = 400 * 1024 * 1024
_AGENTS_PER_CORE = 4
_MOST = 10


def default_capacity() -> int:
    """Agents that this machine carries at once: they mostly wait for the model, so memory is the limit."""
    by_memory = int(psutil.virtual_memory().available / _MEMORY_PER_AGENT)
    cores = len(os.sched_getaffinity(0))
    return max(1, min(_MOST, cores * _AGENTS_PER_CORE, by_memory))


class Slot(Frozen):
    """A place for one agent at a time; the directory is its own."""

    index: int
    directory: Path


Preference = Callable[[Slot], int]
"""How well a slot suits; of equals the first is taken."""


class Slots:
    """Lends slots in the order they were asked for."""

    def __init__(self, capacity: int, directory: Path) -> None:
        self.capacity = capacity
        self._free = [Slot(index=index, directory=directory / str(index)) for index in range(capacity)]
        self._line: deque[asyncio.Future[Slot]] = deque()
        self.returned: Callable[[], None] = lambda: None
        """Told when a slot is free again."""

    @property
    def free(self) -> int:
        """How many agents could start at once."""
        return len(self._free)

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._line)

    @asynccontextmanager
    async def lend(self, wait_seconds: float | None = None) -> AsyncIterator[Slot]:
        """A slot, given back at the end; raises AgentBusy if none came free within `wait_seconds`."""
        slot = await self.take(wait_seconds)
        try:
            yield slot
        finally:
            self.give_back(slot)

    async def take(self, wait_seconds: float | None = None, prefer: Preference | None = None) -> Slot:
        """A slot that the taker gives back, the best of the free ones.

        Raises AgentBusy if none came free within `wait_seconds`.
        """
        if self._free and not self._line:
            slot = max(self._free, key=prefer) if prefer else self._free[0]
            self._free.remove(slot)
            return slot
        place: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        self._line.append(place)
        try:
            async with asyncio.timeout(wait_seconds):
                return await place
        except (TimeoutError, asyncio.CancelledError) as error:
            self._leave(place)
            if isinstance(error, TimeoutError):
                raise AgentBusy from None
            raise

    def claim(self, index: int) -> Slot | None:
        """That very slot, for its taker to give back; None while it is lent, or if there is none of that number."""
        found = next((slot for slot in self._free if slot.index == index), None)
        if found is not None:
            self._free.remove(found)
        return found

    def exchange(self, slot: Slot, prefer: Preference) -> Slot:
        """A free slot for the one that was taken, if one suits better."""
        best = max([slot, *self._free], key=prefer)
        if best != slot:
            self._free.remove(best)
            self.give_back(slot)
        return best

    def is_free(self, slot: Slot) -> bool:
        """Whether nobody has it."""
        return slot in self._free

    def all_free(self) -> list[Slot]:
        """The slots that nobody has."""
        return list(self._free)

    def give_back(self, slot: Slot) -> None:
        """End the use of `slot`: the first in line has it next."""
        while self._line:
            place = self._line.popleft()
            if not place.done():
                place.set_result(slot)
                return
        self._free.append(slot)
        self._free.sort(key=lambda one: one.index)
        self.returned()

    def _leave(self, place: asyncio.Future[Slot]) -> None:
        """A slot that was given at the very moment its taker left goes to the next one."""
        if place in self._line:
            self._line.remove(place)
        if place.done() and not place.cancelled():
            self.give_back(place.result())
