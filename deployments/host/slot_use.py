"""The use of a slot by one run: the slot is released once, however the run ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

SlotT = TypeVar("SlotT")


class SlotUse(Generic[SlotT]):
    """The use of a slot, made with the slot just acquired. Its maker closes it, or has a task own it."""

    def __init__(self, slot: SlotT, release: Callable[[SlotT], None]) -> None:
        self.slot = slot
        self._release = release
        self._is_closed = False

    def swap(self, swap: Callable[[SlotT], SlotT]) -> None:
        """Use the slot that `swap` gives for this one."""
        self.slot = swap(self.slot)

    def close(self) -> None:
        """Release the slot; closing again does nothing."""
        if not self._is_closed:
            self._is_closed = True
            self._release(self.slot)

    def close_with(self, task: asyncio.Task[Any]) -> None:
        """Have the slot released when the task is done, unless it was before."""
        # not a `finally` in the task's own code: a task that is cancelled before its first step never enters it
        task.add_done_callback(lambda _: self.close())
