"""The age of an item, read from the dates that sources write."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from tasks.sources.expressions import evaluate

DATES = (
    *("created_at", "createdAt", "created", "createdOn", "created_on", "startsAt", "firstSeen", "first_seen"),
    *("published", "published_at", "publishedAt", "pubDate", "date", "received", "received_at", "receivedAt"),
    *("opened_at", "submitted_at", "timestamp", "time"),
)
"""The members that may tell when an item came in, in this order, if no expression says it."""

_MILLISECONDS_FROM = 100_000_000_000
"""Seconds since 1970 reach it in the year 5138: a larger number counts milliseconds."""


def read_date(value: Any, expression: str | None) -> datetime | None:
    """Return when the item came in, None if it does not say."""
    if expression is not None:
        return _parse(evaluate(expression, value))
    if not isinstance(value, dict):
        return None
    fields = value["fields"] if isinstance(value.get("fields"), dict) else {}
    dates = (_parse(place[name]) for place in (value, fields) for name in DATES if name in place)
    return next((date for date in dates if date is not None), None)


def _parse(found: Any) -> datetime | None:
    with contextlib.suppress(ValueError, OverflowError, OSError, TypeError, IndexError):
        if isinstance(found, str) and not found.isdecimal():
            return _aware(_parse_text(found))
        if isinstance(found, int | float | str) and not isinstance(found, bool):
            seconds = float(found)
            return datetime.fromtimestamp(seconds / 1000 if seconds >= _MILLISECONDS_FROM else seconds, UTC)
    return None


def _parse_text(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        return parsedate_to_datetime(text)


def _aware(date: datetime) -> datetime:
    return (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).astimezone(UTC)
