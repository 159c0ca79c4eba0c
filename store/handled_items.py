"""Handled triage items: an unchanged item is handed out once across processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Literal
from uuid import UUID, uuid4

from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from store.database.database import Database
from store.database.schema import handled

Status = Literal["claimed", "done", "failed"]

Answer = Literal["mine", "done", "elsewhere", "set aside", "tried"]
"""The answer to a claim: claimed, already done, claimed by another triage, failed too often, tried by this triage."""

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

IDS_PER_QUERY = 500  # below SQLite's limit of 999 variables in older builds


@dataclass(frozen=True, slots=True)
class ClaimTerms:
    """The terms of a claim; with `again`, items that are done or failed too often are handed out as well."""

    max_attempts: int = 3
    again: bool = False
    lease: timedelta = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class ItemAttempt:
    """The last attempt at one item; `claim_id` identifies the attempt, `run_id` the agent's run once it has started."""

    fingerprint: str
    status: Status
    attempts: int
    claim_id: UUID
    owner: UUID
    run_id: UUID | None
    renewed_at: datetime
    error: str | None


@dataclass(frozen=True, slots=True)
class ItemClaim:
    """The answer to a claim, and the state of the item after it."""

    answer: Answer
    handling: ItemAttempt


class HandledItems:
    """The handled items, by the name of their source and a key of any length and content; one per Store.

    An owner, the triage run that handles an item, renews its claims while it runs. A claim that is not renewed within
    the lease goes to the next triage that claims it, together with the agent's run that was started for it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, source: str, key: str, fingerprint: str, owner: UUID, terms: ClaimTerms) -> ItemClaim:
        """Claim the item, or return why it is not handed out."""
        now = datetime.now(UTC)
        fresh = ItemAttempt(fingerprint, "claimed", 1, uuid4(), owner, None, now, None)
        row_id = item_id(source, key)
        insert = self._database.insert(handled).values(id=row_id, source=source, key=key, **_values(fresh))
        held = select(*_COLUMNS).where(handled.c.id == row_id).with_for_update()

        async def work(connection: AsyncConnection) -> ItemClaim:
            if (await connection.execute(insert.on_conflict_do_nothing())).rowcount == 1:
                return ItemClaim("mine", fresh)
            known = _handling((await connection.execute(held)).one())
            answer = decide_claim(known, fingerprint, owner, terms, now)
            if answer != "mine":
                return ItemClaim(answer, known)
            taken = _take(known, fresh, terms)
            await connection.execute(update(handled).where(handled.c.id == row_id).values(**_values(taken)))
            return ItemClaim("mine", taken)

        return await self._database.write(work)

    async def find(self, source: str, keys: Sequence[str]) -> dict[str, ItemAttempt]:
        """Return the last attempts at these items by key; new items are left out."""
        ids = {item_id(source, key): key for key in keys}
        found: dict[str, ItemAttempt] = {}
        query = select(handled.c.id, *_COLUMNS)
        for start in range(0, len(ids), IDS_PER_QUERY):
            some = list(ids)[start : start + IDS_PER_QUERY]
            rows = await self._database.rows(query.where(handled.c.id.in_(some)))
            found.update((ids[row.id], _handling(row)) for row in rows)
        return found

    async def begin(self, claim_id: UUID, run_id: UUID) -> None:
        """Record the run that was started for the claim."""
        await self._change(claim_id, {"run_id": run_id})

    async def settle(
        self, claim_id: UUID, status: Literal["done", "failed"], error: str | None = None, *, counts: bool = True
    ) -> bool:
        """Record the end of the attempt. False if it was recorded before. Without `counts` it is not counted."""
        ending: dict[str, Any] = {"status": status, "error": error}
        if not counts:
            ending["attempts"] = handled.c.attempts - 1
        return await self._change(claim_id, ending)

    async def follow_rerun(self, failed_run_id: UUID, run_id: UUID) -> bool:
        """Let the end of `run_id` decide about the item on which `failed_run_id` failed. False if there is none.

        The claim has no owner that renews it: the next triage settles it by the run, without starting another one.
        """
        statement = update(handled).where(handled.c.run_id == failed_run_id, handled.c.status == "failed")
        values = {"status": "claimed", "run_id": run_id, "claim_id": uuid4(), "owner": run_id, "error": None}
        return await self._database.change(statement.values(**values, renewed_at=_LONG_AGO)) == 1

    async def renew(self, owner: UUID) -> None:
        """Renew the claims of a triage that still runs."""
        statement = update(handled).where(handled.c.owner == owner, handled.c.status == "claimed")
        await self._database.change(statement.values(renewed_at=datetime.now(UTC)), durable=False)

    async def _change(self, claim_id: UUID, values: dict[str, Any]) -> bool:
        statement = update(handled).where(handled.c.claim_id == claim_id, handled.c.status == "claimed")
        return await self._database.change(statement.values(**values)) == 1


def decide_claim(known: ItemAttempt | None, fingerprint: str, owner: UUID, terms: ClaimTerms, now: datetime) -> Answer:
    """Return the answer that `owner` would get if it claimed the item now."""
    if known is None:
        return "mine"
    if known.status == "claimed":
        lapsed = now - known.renewed_at > terms.lease
        return "mine" if known.owner == owner or lapsed else "elsewhere"
    if known.fingerprint != fingerprint:
        return "mine"
    if known.owner == owner:
        return "done" if known.status == "done" else "tried"
    if terms.again:
        return "mine"
    if known.status == "done":
        return "done"
    return "set aside" if known.attempts >= terms.max_attempts else "mine"


def _take(known: ItemAttempt, fresh: ItemAttempt, terms: ClaimTerms) -> ItemAttempt:
    """Return the item as its new owner has it: a running attempt is taken over, a failed one counts."""
    changed = known.fingerprint != fresh.fingerprint
    if known.status == "claimed" and not (changed and known.run_id is None):
        # a run may be under way for it: its claim is taken over as it is, and the change is handled next time
        return replace(known, owner=fresh.owner, renewed_at=fresh.renewed_at)
    if changed or known.status != "failed" or known.attempts >= terms.max_attempts:
        return fresh
    return replace(fresh, attempts=known.attempts + 1)


_COLUMNS = [handled.c[name] for name in ItemAttempt.__slots__]


def _values(handling: ItemAttempt) -> dict[str, Any]:
    return {name: getattr(handling, name) for name in ItemAttempt.__slots__}


def _handling(row: Row[Any]) -> ItemAttempt:
    return ItemAttempt(**{name: getattr(row, name) for name in ItemAttempt.__slots__})


def item_id(source: str, key: str) -> str:
    """Return the id of an item: a digest of its triage's name and its key."""
    parts = (part.encode("utf-8", "surrogatepass") for part in (source, key))
    return sha256(b"".join(sha256(part).digest() for part in parts)).hexdigest()
