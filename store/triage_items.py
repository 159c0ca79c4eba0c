"""Known triage items: when each was first seen, and its last verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, Select, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from store.database.database import Database
from store.database.schema import handled, items
from store.handled_items import IDS_PER_QUERY, item_id

ItemState = Literal["waiting", "at work", "done", "failed", "set aside"]

_SEEN_AGAIN = timedelta(hours=1)
"""How old a `last_seen_at` may become: writing each at each poll would write the whole backlog every few minutes."""


@dataclass(frozen=True, slots=True)
class SeenItem:
    """An item that a source has now."""

    key: str
    title: str
    url: str | None


@dataclass(frozen=True, slots=True)
class ItemVerdict:
    """The answer of an agent to an item; `body` is JSON."""

    run_id: UUID
    body: str
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class KnownItem:
    """What is known of an item; `run_id` is its last run, `judged_by` the run that gave the verdict."""

    key: str
    title: str
    url: str | None
    first_seen_at: datetime
    last_seen_at: datetime
    status: ItemState
    attempts: int
    run_id: UUID | None
    error: str | None
    judged_at: datetime | None
    judged_by: UUID | None
    cost_usd: float | None
    verdict: str | None


class TriageItems:
    """What is known of the items of all triages; one per Store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(self, source: str, seen: Sequence[SeenItem]) -> dict[str, datetime]:
        """Record the items that a source has now. Returns when each was first seen, by key."""
        now = datetime.now(UTC)
        ids = {item_id(source, item.key): item for item in seen}
        known = await self._known(list(ids))
        new = [
            {"id": id, "source": source, **_values(item), "first_seen_at": now, "last_seen_at": now}
            for id, item in ids.items()
            if id not in known
        ]
        changed = [
            (id, item)
            for id, item in ids.items()
            if id in known and (known[id].title != item.title or now - known[id].last_seen_at > _SEEN_AGAIN)
        ]
        if new or changed:
            await self._database.write(lambda connection: self._record(connection, new, changed, now), durable=False)
        return {item.key: known[id].first_seen_at if id in known else now for id, item in ids.items()}

    async def first_seen(self, source: str, keys: Sequence[str]) -> dict[str, datetime]:
        """Return when each item was first seen, by key; now for one that was never recorded. Records nothing."""
        now = datetime.now(UTC)
        ids = {item_id(source, key): key for key in keys}
        known = await self._known(list(ids))
        return {key: known[id].first_seen_at if id in known else now for id, key in ids.items()}

    async def record_verdict(self, source: str, key: str, verdict: ItemVerdict) -> None:
        """Record the answer to an item that `note` has recorded."""
        statement = update(items).where(items.c.id == item_id(source, key))
        values = {"judged_by": verdict.run_id, "verdict": verdict.body, "cost_usd": verdict.cost_usd}
        await self._database.change(statement.values(judged_at=datetime.now(UTC), **values))

    async def find(
        self,
        source: str,
        *,
        key: str | None = None,
        status: ItemState | None = None,
        max_attempts: int = 3,
        limit: int = 100,
        offset: int = 0,
    ) -> list[KnownItem]:
        """Return the items of a triage, the latest first seen first; `key`: that item alone.

        An item that failed `max_attempts` times is set aside.
        """
        query = _joined().where(items.c.source == source)
        if key is not None:
            query = query.where(items.c.id == item_id(source, key))
        match status:
            case "waiting":
                query = query.where(handled.c.id.is_(None))
            case "at work":
                query = query.where(handled.c.status == "claimed")
            case "done":
                query = query.where(handled.c.status == "done")
            case "failed":
                query = query.where(handled.c.status == "failed", handled.c.attempts < max_attempts)
            case "set aside":
                query = query.where(handled.c.status == "failed", handled.c.attempts >= max_attempts)
        query = query.order_by(items.c.first_seen_at.desc(), items.c.id).limit(limit).offset(offset)
        return [_known_item(row, max_attempts) for row in await self._database.rows(query)]

    async def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of items by triage and status; those that are set aside count as failed."""
        query = (
            select(items.c.source, handled.c.status, func.count())
            .select_from(items.outerjoin(handled, handled.c.id == items.c.id))
            .group_by(items.c.source, handled.c.status)
        )
        found: dict[str, dict[str, int]] = {}
        for source, status, number in await self._database.rows(query):
            state = {None: "waiting", "claimed": "at work"}.get(status, status)
            found.setdefault(source, {})[str(state)] = number
        return found

    async def _known(self, ids: list[str]) -> dict[str, Row[Any]]:
        query = select(items.c.id, items.c.title, items.c.first_seen_at, items.c.last_seen_at)
        found: dict[str, Row[Any]] = {}
        for start in range(0, len(ids), IDS_PER_QUERY):
            rows = await self._database.rows(query.where(items.c.id.in_(ids[start : start + IDS_PER_QUERY])))
            found.update((row.id, row) for row in rows)
        return found

    async def _record(
        self,
        connection: AsyncConnection,
        new: list[dict[str, Any]],
        changed: list[tuple[str, SeenItem]],
        now: datetime,
    ) -> None:
        if new:
            await connection.execute(self._database.insert(items).on_conflict_do_nothing(), new)
        for id, item in changed:
            statement = update(items).where(items.c.id == id)
            await connection.execute(statement.values(**_values(item), last_seen_at=now))


def _values(item: SeenItem) -> dict[str, Any]:
    return {"key": item.key, "title": item.title, "url": item.url}


def _joined() -> Select[Any]:
    return select(
        *(items.c[name] for name in ("key", "title", "url", "first_seen_at", "last_seen_at")),
        *(handled.c[name] for name in ("status", "attempts", "run_id", "error")),
        *(items.c[name] for name in ("judged_at", "judged_by", "cost_usd", "verdict")),
    ).select_from(items.outerjoin(handled, handled.c.id == items.c.id))


def _known_item(row: Row[Any], max_attempts: int) -> KnownItem:
    return KnownItem(**{**row._mapping, "attempts": row.attempts or 0, "status": _state(row, max_attempts)})


def _state(row: Row[Any], max_attempts: int) -> ItemState:
    match row.status:
        case "claimed":
            return "at work"
        case "done":
            return "done"
        case "failed":
            return "set aside" if row.attempts >= max_attempts else "failed"
    return "waiting"
