"""The store: inputs, outcomes, journals, idempotency keys, handled items and what is known of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from anyio import CancelScope

from store.database.database import Database
from store.database.migration import migrate
from store.handled_items import HandledItems
from store.idempotency import Idempotency
from store.inputs import Inputs
from store.journal.journal import Journal
from store.locks import NamedLocks
from store.outcomes import Outcomes
from store.triage_items import TriageItems


@dataclass(frozen=True, slots=True)
class Trimmed:
    """Number of deleted records of each kind, as `Store.trim` returns it."""

    events: int
    claims: int
    outcomes: int
    inputs: int


@dataclass(frozen=True, slots=True)
class Store:
    """The records that Prefect cannot hold in order, atomically or at their size; made by `open_store`."""

    inputs: Inputs
    outcomes: Outcomes
    journal: Journal
    idempotency: Idempotency
    handled: HandledItems
    items: TriageItems
    locks: NamedLocks

    async def trim(self, older_than: datetime, *, records_older_than: datetime | None = None) -> Trimmed:
        """Delete journals idle since `older_than`, expired claims and, if asked, inputs and outcomes saved long ago."""
        events = await self.journal.trim(older_than)
        claims = await self.idempotency.trim()
        if records_older_than is None:
            return Trimmed(events, claims, 0, 0)
        outcomes = await self.outcomes.trim(records_older_than)
        return Trimmed(events, claims, outcomes, await self.inputs.trim(records_older_than))


@asynccontextmanager
async def open_store(database_url: str, *, idempotency_hours: float = 24) -> AsyncIterator[Store]:
    """Open the store at this address and create or upgrade its tables. Raises StoreUnavailable."""
    database = Database(database_url)
    try:
        await migrate(database)
        journal = Journal(database)
        try:
            yield Store(
                Inputs(database),
                Outcomes(database),
                journal,
                Idempotency(database, hours=idempotency_hours),
                HandledItems(database),
                TriageItems(database),
                NamedLocks(database),
            )
        finally:
            with CancelScope(shield=True):
                await journal.close()
    finally:
        with CancelScope(shield=True):
            await database.close()
