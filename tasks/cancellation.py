"""The cancellation of a run: requested at any time, applied at safe points."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Cancellation:
    """The cancellation of one run. It belongs to the run's context and lives as long.

    A request before or after `heeded` is remembered; the flow asks `asked` and ends as cancelled.
    """

    def __init__(self) -> None:
        self.asked = False
        self.reason = ""
        self._work: asyncio.Task[Any] | None = None

    def ask(self, reason: str = "") -> None:
        """Request the cancellation; `reason` is for the log. A second request changes nothing."""
        if self.asked:
            return
        self.asked = True
        self.reason = reason
        if self._work is not None:
            self._work.cancel()

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Let a cancellation raise CancelledError in the block, once."""
        # only the flow's own work is cancelled: Prefect's engine takes a cancelled asyncio task for a crash
        self._work = asyncio.current_task()
        if self.asked and self._work is not None:
            self._work.cancel()
        try:
            yield
        finally:
            self._work = None
