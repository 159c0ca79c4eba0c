"""Limits how much one run writes to its journal; the rest of that run becomes one gap."""

from __future__ import annotations

import logging
from uuid import UUID

from store.journal.entry import GAP, LAST
from store.journal.pending import EVENT_OVERHEAD_BYTES, Pending

logger = logging.getLogger(__name__)

RUN_BYTES = 16 * 1024 * 1024  # a long run with many tools writes 2 MB; a hostile one wrote 700 MB a minute


class RunLimit:
    """The bytes of each run whose last event has not come; one per JournalBuffer, used under its lock."""

    def __init__(self, max_bytes: int = RUN_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes: dict[UUID, int] = {}
        self._gaps: dict[UUID, Pending] = {}

    def admit(self, event: Pending) -> list[Pending]:
        """Return what is to be written for `event`: itself, nothing, or the gap of its run before its last event."""
        run_id = event.run_id
        if event.type == LAST:
            self._bytes.pop(run_id, None)
            gap = self._gaps.pop(run_id, None)
            return [event] if gap is None else [gap, event]
        if gap := self._gaps.get(run_id):
            gap.dropped += 1
            return []
        used = self._bytes.get(run_id, 0) + EVENT_OVERHEAD_BYTES + _bytes(event.body)
        if used > self._max_bytes:
            megabytes = self._max_bytes // (1024 * 1024)
            logger.warning("journal: run %s has written %d MB; its further events are left out", run_id, megabytes)
            self._gaps[run_id] = Pending(run_id, GAP, "", event.at, dropped=1)
            return []
        self._bytes[run_id] = used
        return [event]


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
