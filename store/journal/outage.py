"""What the log hears of a journal that cannot be written."""

from __future__ import annotations

import logging
from time import monotonic

from store.journal.buffer import JournalBuffer

logger = logging.getLogger(__name__)


class Outage:
    """Says once each: that it began, that events are being dropped, and how it ended."""

    def __init__(self, buffer: JournalBuffer) -> None:
        self.reason = ""
        self._buffer = buffer
        self._began = 0.0
        self._told = 0
        self._dropping = False

    def goes_on(self, reason: str) -> None:
        """A try to write has failed."""
        if not self.reason:
            self._began = monotonic()
            logger.warning("journal: cannot be written, trying on: %s", reason)
        self.reason = reason
        if self._buffer.dropped > self._told and not self._dropping:
            self._dropping = True
            logger.error("journal: its buffer is full, events are being dropped: %s", reason)

    def ends(self) -> None:
        """A try to write has succeeded."""
        dropped = self._buffer.dropped - self._told
        if self.reason:
            seconds = monotonic() - self._began
            logger.warning("journal: written again after %.1f s, %d events dropped", seconds, dropped)
        elif dropped:
            logger.error("journal: %d events dropped, they came faster than they could be written", dropped)
        self.reason = ""
        self._told = self._buffer.dropped
        self._dropping = False
