"""All of what Prefect cannot hold, behind one door."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from anyio import CancelScope

from store.database.database import Database
from store.database.migration import migrate
from store.handled_items import Handled
from store.idempotency import Idempotency
from store.inputs import Inputs
from store.journal.journal import Journal
from store.locks import NamedLocks
from store.outcomes import Outcomes


@dataclass(frozen=True, slots=True)
class Trimmed:
    """How much was deleted, of each kind."""

    events: int
    claims: int
    outcomes: int
    inputs: int


@dataclass(frozen=True, slots=True)
class Store:
    """What Prefect cannot hold in order, atomically, or at its size."""

    inputs: Inputs
    outcomes: Outcomes
    journal: Journal
    idempotency: Idempotency
    handled: Handled
    turns: NamedLocks

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
    """The store at this address, its tables made or upgraded; `StoreUnavailable` says why it cannot be."""
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
                Handled(database),
                NamedLocks(database),
            )
        finally:
            with CancelScope(shield=True):
                await journal.close()
    finally:
        with CancelScope(shield=True):
            await database.close()
