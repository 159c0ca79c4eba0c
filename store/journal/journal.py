"""The journal of a run: append, read, follow."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from store.database.database import Database
from store.database.schema import entries, journals
from store.errors import StoreUnavailable
from store.journal.buffer import JournalBuffer
from store.journal.entry import Entry
from store.journal.followers import JournalWatch
from store.journal.pending import Pending
from store.journal.writer import JournalWriter

logger = logging.getLogger(__name__)

BUFFER_BYTES = 64 * 1024 * 1024  # some minutes of sixteen busy runs while the database is away
PAGE_ENTRIES = 100
FLUSH_SECONDS = 10  # a run's end waits this long for its last events


class Journal:
    """The events of runs, numbered 1, 2, 3... in each run when they are written; one per Store.

    Any number of processes may append to a run and follow it.
    """

    def __init__(self, database: Database, *, buffer_bytes: int = BUFFER_BYTES) -> None:
        self._database = database
        self._watch = JournalWatch(database)
        self._buffer = JournalBuffer(buffer_bytes)
        self._writer = JournalWriter(database, self._buffer, self._watch.written)

    def append(self, run_id: UUID, type: str, body: str) -> None:
        """Queue an event, from any thread; never waits, never raises.

        It is written within some 50 ms. While the database is away, up to `buffer_bytes` are kept in all; events
        without room become a `gap` entry with their number.
        """
        self._buffer.put(Pending(run_id, type, body))
        self._writer.notify()

    async def flush(self, run_id: UUID | None = None, *, seconds: float = FLUSH_SECONDS) -> None:
        """Return once all events appended so far (to this run) are written. Raises StoreUnavailable."""
        await self._writer.wait_until_written(self._buffer.last(run_id), seconds)

    async def read(self, run_id: UUID, after: int = 0, limit: int = 500) -> list[Entry]:
        """Return the first `limit` written events of the run past number `after`."""
        query = select(entries.c.seq, entries.c.at, entries.c.type, entries.c.body)
        query = query.where(entries.c.run_id == run_id, entries.c.seq > after)
        rows = await self._database.rows(query.order_by(entries.c.seq).limit(limit))
        return [Entry(*row) for row in rows]

    async def follow(self, run_id: UUID, after: int = 0) -> AsyncGenerator[Entry]:
        """Yield every event past number `after`, once and in order, then each new one, until it is closed.

        It ends by itself only with the store; use it as `async with aclosing(journal.follow(run_id)) as events`.
        """
        with self._watch.follow(run_id, after) as follower:
            while not follower.closed:
                fresh = follower.take()
                page = fresh or await self.read(run_id, follower.after, PAGE_ENTRIES)
                for entry in page:
                    follower.after = entry.seq
                    yield entry
                if fresh or len(page) < PAGE_ENTRIES:
                    await follower.wait()

    async def trim(self, older_than: datetime) -> int:
        """Delete the journals that have not grown since `older_than` and return the number of their events."""
        deleted = 0
        while run_ids := await self._idle_since(older_than):
            for run_id in run_ids:
                deleted += await self._delete(run_id, older_than)
        return deleted

    async def close(self) -> None:
        """Write the waiting events, then stop."""
        try:
            await self.flush()
        except StoreUnavailable as error:
            logger.error("journal: closed with %s", error)
        await self._writer.close()
        await self._watch.close()

    async def _idle_since(self, moment: datetime) -> list[UUID]:
        query = select(journals.c.run_id).where(journals.c.updated_at < moment).limit(100)
        return [row.run_id for row in await self._database.rows(query)]

    async def _delete(self, run_id: UUID, older_than: datetime) -> int:
        head = delete(journals).where(journals.c.run_id == run_id, journals.c.updated_at < older_than)

        async def work(connection: AsyncConnection) -> int:
            if (await connection.execute(head)).rowcount == 0:
                return 0  # it has grown meanwhile
            return (await connection.execute(delete(entries).where(entries.c.run_id == run_id))).rowcount

        return await self._database.write(work, durable=False)
