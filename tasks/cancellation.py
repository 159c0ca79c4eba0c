"""A run's cancellation: asked for at any moment, heeded where the run can be broken off."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Cancellation:
    """Breaks off what is done inside of `heeded`, and nothing else.

    Prefect's engine takes a cancelled asyncio task for a crash, so only the flow's own work is cancelled; whoever asks
    before or after it is remembered, and the flow ends as cancelled all the same.
    """

    def __init__(self) -> None:
        self.asked = False
        self._work: asyncio.Task[Any] | None = None

    def ask(self) -> None:
        """Have the run end; to ask again changes nothing."""
        if self.asked:
            return
        self.asked = True
        if self._work is not None:
            self._work.cancel()

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """While this is open, a cancellation comes as CancelledError, once."""
        self._work = asyncio.current_task()
        if self.asked and self._work is not None:
            self._work.cancel()
        try:
            yield
        finally:
            self._work = None
