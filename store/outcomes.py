"""What runs gave, at any size."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import select

from store.database.database import Database
from store.database.retention import delete_older
from store.database.schema import outcomes

AT_ONCE = 500


class Outcomes:
    """What runs gave, at any size, each with a short summary for listings."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, run_id: UUID, body: str, summary: str | None = None) -> None:
        """Keep what the run gave, instead of what was kept for it before; it is on disk when this returns."""
        insert = self._database.insert(outcomes)
        fresh = {"saved_at": datetime.now(UTC), "summary": summary, "body": body}
        statement = insert.values(run_id=run_id, **fresh).on_conflict_do_update(
            index_elements=[outcomes.c.run_id], set_={name: insert.excluded[name] for name in fresh}
        )
        await self._database.change(statement)

    async def load(self, run_id: UUID) -> str | None:
        """What the run gave, or None if nothing was kept."""
        query = select(outcomes.c.body).where(outcomes.c.run_id == run_id)
        return next((str(row.body) for row in await self._database.rows(query)), None)

    async def load_many(self, run_ids: Sequence[UUID]) -> dict[UUID, str]:
        """The summaries of these runs, without those that have none; no body is read."""
        query = select(outcomes.c.run_id, outcomes.c.summary).where(outcomes.c.summary.is_not(None))
        summaries: dict[UUID, str] = {}
        for start in range(0, len(run_ids), AT_ONCE):
            wanted = run_ids[start : start + AT_ONCE]
            rows = await self._database.rows(query.where(outcomes.c.run_id.in_(wanted)))
            summaries |= {row.run_id: row.summary for row in rows}
        return summaries

    async def trim(self, older_than: datetime) -> int:
        """Delete the outcomes saved before `older_than`, and count them."""
        return await delete_older(self._database, outcomes.c.run_id, outcomes.c.saved_at, older_than)
