"""Tells a run's host that a client waits for it at another host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4, uuid5

from store.errors import StoreError
from store.journal.journal import Journal

HERE, GONE = "here", "gone"
ANNOUNCE_SECONDS = 5.0
EXPIRES_AFTER = timedelta(seconds=15)
"""Three announcements that did not come: the host that made them is down. Clocks of hosts differ by less than that."""


class Presence:
    """The waiting clients of one run at other hosts, in a journal beside the run's; made for each keyed request."""

    def __init__(self, journal: Journal, run_id: UUID) -> None:
        self._journal = journal
        self._id = uuid5(run_id, "callers")
        self._last_read = 0
        self._seen_at: dict[str, datetime] = {}

    @asynccontextmanager
    async def announce(self) -> AsyncIterator[None]:
        """Tell the run's host, until the end of this context, that a client waits here."""
        name = uuid4().hex
        announcing = asyncio.create_task(self._announce(name))
        try:
            yield
        finally:
            announcing.cancel()
            self._journal.append(self._id, GONE, name)

    async def is_anyone_waiting(self) -> bool:
        """True if a client waits at another host; False if the store does not answer."""
        with suppress(StoreError):
            while entries := await self._journal.read(self._id, self._last_read):
                for entry in entries:
                    self._last_read = entry.seq
                    self._seen_at[entry.body] = entry.at if entry.type == HERE else datetime.min.replace(tzinfo=UTC)
        return any(datetime.now(UTC) - at < EXPIRES_AFTER for at in self._seen_at.values())

    async def _announce(self, name: str) -> None:
        while True:
            self._journal.append(self._id, HERE, name)
            await asyncio.sleep(ANNOUNCE_SECONDS)
