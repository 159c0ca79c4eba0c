"""Bounded in-memory buffer of entries to be written."""

from __future__ import annotations

import threading
from collections import deque
from uuid import UUID

from store.journal.entry import GAP
from store.journal.pending import Pending
from store.journal.run_limit import RunLimit


class JournalBuffer:
    """A queue that any thread puts into and one task takes from; one per Journal.

    Past `max_bytes` it drops new events and puts a gap with their number in their place; past
    `limit`, those of one run.
    """

    def __init__(self, max_bytes: int, limit: RunLimit | None = None) -> None:
        self._limit = limit or RunLimit()
        self.dropped = 0
        self.done = 0
        self._max_bytes = max_bytes
        self._bytes = 0
        self._put = 0
        self._lock = threading.Lock()
        self._waiting: deque[Pending] = deque()
        self._open_gaps: dict[UUID, Pending] = {}
        self._last_of: dict[UUID, int] = {}

    def put(self, event: Pending) -> None:
        """Queue `event`, or count it as dropped."""
        with self._lock:
            for one in self._limit.admit(event):
                if self._bytes + one.size > self._max_bytes:
                    self._drop(one)
                else:
                    self._open_gaps.pop(one.run_id, None)
                    self._push(one)

    def batch(self, max_events: int, max_bytes: int) -> list[Pending]:
        """Return the oldest waiting events; they stay in the buffer until `discard`."""
        with self._lock:
            taken: list[Pending] = []
            size = 0
            for event in self._waiting:
                if len(taken) == max_events or (taken and size + event.size > max_bytes):
                    break
                if event.dropped:
                    self._close_gap(event)
                size += event.size
                taken.append(event)
            return taken

    def discard(self, batch: list[Pending], *, written: bool) -> None:
        """Remove the events that `batch` returned; without `written`, a gap takes their place."""
        with self._lock:
            for event in batch:
                self._waiting.popleft()
                self._bytes -= event.size
                self.done += 1
                if self._last_of.get(event.run_id) == self.done:
                    del self._last_of[event.run_id]
            if not written:
                for event in batch:
                    self._drop(event)

    def last(self, run_id: UUID | None) -> int:
        """Return the value of `done` at which all events of this run (or of all runs) are written."""
        with self._lock:
            return self._put if run_id is None else self._last_of.get(run_id, 0)

    def __len__(self) -> int:
        return len(self._waiting)

    def _push(self, event: Pending) -> None:
        self._waiting.append(event)
        self._bytes += event.size
        self._put += 1
        self._last_of[event.run_id] = self._put

    def _drop(self, event: Pending) -> None:
        self.dropped += not event.dropped
        gap = self._open_gaps.get(event.run_id)
        if gap is None:
            gap = self._open_gaps[event.run_id] = Pending(event.run_id, GAP, "", event.at)
            self._push(gap)
        gap.dropped += event.dropped or 1

    def _close_gap(self, gap: Pending) -> None:
        if self._open_gaps.get(gap.run_id) is gap:
            del self._open_gaps[gap.run_id]
