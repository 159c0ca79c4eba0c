"""Who waits for a run at other hosts than its own; they tell it in a journal beside the run's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4, uuid5

from store.errors import StoreError
from store.journal.journal import Journal

HERE, GONE = "here", "gone"
TELL_SECONDS = 5.0
BELIEVED = timedelta(seconds=15)
"""One who has said nothing for so long has died: hosts' clocks agree better than that."""


class Presence:
    """The callers of one run, as far as other hosts have them."""

    def __init__(self, journal: Journal, run_id: UUID) -> None:
        self._journal = journal
        self._id = uuid5(run_id, "callers")
        self._read = 0
        self._here: dict[str, datetime] = {}

    @asynccontextmanager
    async def announced(self) -> AsyncIterator[None]:
        """While this is open, the run's own host knows that somebody waits here."""
        name = uuid4().hex
        telling = asyncio.create_task(self._tell(name))
        try:
            yield
        finally:
            telling.cancel()
            self._journal.append(self._id, GONE, name)

    async def anybody(self) -> bool:
        """Whether somebody waits elsewhere; no, if the store does not say."""
        with suppress(StoreError):
            while entries := await self._journal.read(self._id, self._read):
                for entry in entries:
                    self._read = entry.seq
                    self._here[entry.body] = entry.at if entry.type == HERE else datetime.min.replace(tzinfo=UTC)
        return any(datetime.now(UTC) - at < BELIEVED for at in self._here.values())

    async def _tell(self, name: str) -> None:
        while True:
            self._journal.append(self._id, HERE, name)
            await asyncio.sleep(TELL_SECONDS)
