"""Idempotency keys: the first claim wins across processes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID, uuid4

from sqlalchemy import case, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from store.database.database import Database
from store.database.retention import delete_older
from store.database.schema import claims

UNSETTLED_LIFETIME = timedelta(minutes=2)
"""A claim without a run is void after this: a start takes seconds, so its claimer has died."""


@dataclass(frozen=True, slots=True)
class KeyClaim:
    """The claim on a key: the caller's own if `fresh`, else the earlier one."""

    fresh: bool
    body_hash: str
    run_id: UUID | None
    generation: UUID | None = field(default=None, compare=False)
    """The same for every claim of this key and body until the key expires, whoever makes them: names the one run."""

    claimed_at: datetime | None = field(default=None, compare=False)
    """Tells this claim from any other on the key."""


class Idempotency:
    """The claims on idempotency keys, of any length and content; one per Store."""

    def __init__(self, database: Database, *, hours: float = 24) -> None:
        self._database = database
        self._lifetime = timedelta(hours=hours)

    async def claim(self, scope: str, key: str, body_hash: str, run_id: UUID | None = None) -> KeyClaim:
        """Claim the key, or return the claim that another request holds."""
        now = datetime.now(UTC)
        mine = {"body_hash": body_hash, "run_id": run_id, "claimed_at": now}
        insert = self._database.insert(claims)
        expired = claims.c.claimed_at < now - self._lifetime
        is_other = expired | (claims.c.body_hash != body_hash) | claims.c.generation.is_(None)
        generation = case((is_other, insert.excluded.generation), else_=claims.c.generation)
        take = insert.values(id=_digest(scope, key), generation=uuid4(), **mine).on_conflict_do_update(
            index_elements=[claims.c.id],
            set_={"generation": generation, **{name: insert.excluded[name] for name in mine}},
            where=expired | (claims.c.run_id.is_(None) & (claims.c.claimed_at < now - UNSETTLED_LIFETIME)),
        )
        held = select(claims).where(claims.c.id == _digest(scope, key))

        async def work(connection: AsyncConnection) -> KeyClaim:
            fresh = (await connection.execute(take)).rowcount == 1
            # the row is locked by now: no other request can release it in between
            row = (await connection.execute(held)).one()
            return KeyClaim(fresh, row.body_hash, row.run_id, row.generation, row.claimed_at)

        return await self._database.write(work)

    async def settle(self, scope: str, key: str, run_id: UUID) -> bool:
        """Record the run of the key. False if the claim has lapsed and another run has the key."""
        unsettled = claims.c.run_id.is_(None) | (claims.c.run_id == run_id)
        statement = update(claims).where(claims.c.id == _digest(scope, key), unsettled).values(run_id=run_id)
        return await self._database.change(statement) == 1

    async def release(self, scope: str, key: str, claim: KeyClaim) -> None:
        """Make the key free for the next request, after a run that was not started. Another's claim stays.

        Its generation stays as well: a run that was started after all, without an answer, is found by it.
        """
        own = (claims.c.id == _digest(scope, key)) & (claims.c.claimed_at == claim.claimed_at)
        lapsed_at = datetime.now(UTC) - UNSETTLED_LIFETIME - timedelta(seconds=1)
        await self._database.change(update(claims).where(own).values(run_id=None, claimed_at=lapsed_at))

    async def trim(self) -> int:
        """Delete the expired claims and return their number."""
        expired = datetime.now(UTC) - self._lifetime
        return await delete_older(self._database, claims.c.id, claims.c.claimed_at, expired)


def _digest(scope: str, key: str) -> str:
    parts = (part.encode("utf-8", "surrogatepass") for part in (scope, key))
    return sha256(b"".join(sha256(part).digest() for part in parts)).hexdigest()
