"""Logs an outage of the journal once."""

from __future__ import annotations

import logging
from time import monotonic

from store.journal.buffer import JournalBuffer

logger = logging.getLogger(__name__)


class JournalOutage:
    """Logs once each: the start of an outage, the first dropped event, and the end. One per JournalWriter."""

    def __init__(self, buffer: JournalBuffer) -> None:
        self.reason = ""
        self._buffer = buffer
        self._started_at = 0.0
        self._reported_drops = 0
        self._dropping = False

    def record_failure(self, reason: str) -> None:
        """Record that a try to write has failed."""
        if not self.reason:
            self._started_at = monotonic()
            logger.warning("journal: cannot be written, retrying: %s", reason)
        self.reason = reason
        if self._buffer.dropped > self._reported_drops and not self._dropping:
            self._dropping = True
            logger.error("journal: its buffer is full, events are being dropped: %s", reason)

    def record_success(self) -> None:
        """Record that a try to write has succeeded."""
        dropped = self._buffer.dropped - self._reported_drops
        if self.reason:
            seconds = monotonic() - self._started_at
            logger.warning("journal: written again after %.1f s, %d events dropped", seconds, dropped)
        elif dropped:
            logger.error("journal: %d events dropped, they came faster than they could be written", dropped)
        self.reason = ""
        self._reported_drops = self._buffer.dropped
        self._dropping = False
