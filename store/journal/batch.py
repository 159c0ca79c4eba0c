"""Numbers and writes entries of many runs in one transaction."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from functools import partial
from uuid import UUID, uuid4

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from store.database.database import Database
from store.database.schema import entries, journals
from store.journal.entry import Entry
from store.journal.pending import Pending


class Batch:
    """Events of many runs that are written exactly once, in as many tries as needed; JournalWriter makes each.

    They get their numbers in the transaction that writes them: no two processes give the same number, and a process
    that dies leaves no hole.
    """

    def __init__(self, events: list[Pending]) -> None:
        self.events = events
        self._id = uuid4()
        self._counts = Counter(event.run_id for event in events)
        self.tries = 0

    async def write(self, database: Database) -> dict[UUID, list[Entry]]:
        """Write all events and return the entries by run. Raises StoreUnavailable."""
        self.tries += 1
        return await database.write(partial(self._write, database), durable=False)

    async def _write(self, database: Database, connection: AsyncConnection) -> dict[UUID, list[Entry]]:
        # the commit of a try that failed may have succeeded all the same
        last = await self._last_seqs(connection) if self.tries > 1 else {}
        if last:
            return self._numbered(last)
        await self._reserve(database, connection)
        written = self._numbered(await self._last_seqs(connection))
        rows = [_row(run_id, entry) for run_id, own in written.items() for entry in own]
        await connection.execute(insert(entries), rows)
        return written

    async def _reserve(self, database: Database, connection: AsyncConnection) -> None:
        now = datetime.now(UTC)
        # sorted: two processes with the same runs in another order would deadlock
        heads = [
            {"run_id": run_id, "last_seq": count, "updated_at": now, "batch_id": self._id}
            for run_id, count in sorted(self._counts.items())
        ]
        statement = database.insert(journals)
        new = statement.excluded
        changes = {
            "last_seq": journals.c.last_seq + new.last_seq,
            "updated_at": new.updated_at,
            "batch_id": new.batch_id,
        }
        await connection.execute(
            statement.on_conflict_do_update(index_elements=[journals.c.run_id], set_=changes), heads
        )

    async def _last_seqs(self, connection: AsyncConnection) -> dict[UUID, int]:
        query = select(journals.c.run_id, journals.c.last_seq).where(
            journals.c.run_id.in_(list(self._counts)), journals.c.batch_id == self._id
        )
        return {row.run_id: row.last_seq for row in await connection.execute(query)}

    def _numbered(self, last: dict[UUID, int]) -> dict[UUID, list[Entry]]:
        numbered: dict[UUID, list[Entry]] = {run_id: [] for run_id in last}
        for event in self.events:
            if (own := numbered.get(event.run_id)) is not None:
                seq = last[event.run_id] - self._counts[event.run_id] + len(own) + 1
                own.append(Entry(seq, event.at, event.type, event.text))
        return numbered


def _row(run_id: UUID, entry: Entry) -> dict[str, object]:
    return {"run_id": run_id, "seq": entry.seq, "at": entry.at, "type": entry.type, "body": entry.body}
