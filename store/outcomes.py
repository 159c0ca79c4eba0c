"""Outcomes of runs, of any size."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import select

from store.database.database import Database
from store.database.retention import delete_older
from store.database.schema import outcomes

IDS_PER_QUERY = 500  # below SQLite's limit of 999 variables in older builds


class Outcomes:
    """The outcomes of runs, each with a short summary for listings; one per Store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, run_id: UUID, body: str, summary: str | None = None) -> None:
        """Save the outcome of the run and replace an earlier one; it is on disk when this returns."""
        insert = self._database.insert(outcomes)
        fresh = {"saved_at": datetime.now(UTC), "summary": summary, "body": body}
        statement = insert.values(run_id=run_id, **fresh).on_conflict_do_update(
            index_elements=[outcomes.c.run_id], set_={name: insert.excluded[name] for name in fresh}
        )
        await self._database.change(statement)

    async def load(self, run_id: UUID) -> str | None:
        """Return the outcome of the run, or None if there is none."""
        query = select(outcomes.c.body).where(outcomes.c.run_id == run_id)
        return next((str(row.body) for row in await self._database.rows(query)), None)

    async def load_many(self, run_ids: Sequence[UUID]) -> dict[UUID, str]:
        """Return the summaries of these runs by run id; runs without one are left out. Reads no body."""
        query = select(outcomes.c.run_id, outcomes.c.summary).where(outcomes.c.summary.is_not(None))
        summaries: dict[UUID, str] = {}
        for start in range(0, len(run_ids), IDS_PER_QUERY):
            wanted = run_ids[start : start + IDS_PER_QUERY]
            rows = await self._database.rows(query.where(outcomes.c.run_id.in_(wanted)))
            summaries |= {row.run_id: row.summary for row in rows}
        return summaries

    async def trim(self, older_than: datetime) -> int:
        """Delete the outcomes saved before `older_than` and return their number."""
        return await delete_older(self._database, outcomes.c.run_id, outcomes.c.saved_at, older_than)
