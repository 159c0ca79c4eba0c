"""Items made from source readings, each with a key and a fingerprint."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from pydantic import JsonValue

from agent.domain.values import Frozen
from agent.system.text import shorten
from tasks.sources.expressions import ExpressionFailed, evaluate, is_true
from tasks.sources.models import Reading

KEYS = ("html_url", "id", "url", "key", "number", "path", "name")
"""The members that may be an item's key, in this order, if no expression says it."""

TITLES = ("title", "subject", "name", "path", "summary")


_PROBLEM_CHARACTERS = 200
_TITLE_CHARACTERS = 120


class Item(Frozen):
    """One item of a source. Its content is untrusted."""

    key: str
    fingerprint: str
    title: str
    url: str | None
    value: JsonValue


class Listing(Frozen):
    """The items of a source in its order, and the values that are no items."""

    items: list[Item] = []
    problems: list[str] = []
    notes: list[str] = []


def read_items(values: Sequence[Any], reading: Reading) -> Listing:
    """Make items of `values`, each key once. A value without a key becomes a problem of the listing."""
    items: dict[str, Item] = {}
    problems: list[str] = []
    for position, value in enumerate(values):
        try:
            item = _read(value, reading)
        except (ExpressionFailed, ValueError) as problem:
            problems.append(shorten(f"item {position + 1}: {problem}", _PROBLEM_CHARACTERS))
            continue
        if item is None:
            continue
        if item.key in items:
            problems.append(shorten(f"item {position + 1}: its key was there already: {item.key}", _PROBLEM_CHARACTERS))
            continue
        items[item.key] = item
    return Listing(items=list(items.values()), problems=problems)


def _read(value: Any, reading: Reading) -> Item | None:
    if reading.where is not None and not is_true(evaluate(reading.where, value)):
        return None
    key = _key(value, reading)
    return Item(
        key=key,
        fingerprint=_fingerprint(value, reading),
        title=_title(value, reading) or shorten(key, _TITLE_CHARACTERS),
        url=_url(value),
        value=value,
    )


def _key(value: Any, reading: Reading) -> str:
    found = evaluate(reading.key, value) if reading.key is not None else _first(value, KEYS)
    if found is None or isinstance(found, bool) or found in ("", [], {}):
        raise ValueError(f"no key: {reading.key or 'none of ' + ', '.join(KEYS)} says nothing here")
    return found if isinstance(found, str) else _canonical(found)


def _fingerprint(value: Any, reading: Reading) -> str:
    """Return the hash of the members whose change makes the item new."""
    if reading.fingerprint is not None:
        part = evaluate(reading.fingerprint, value)
    elif isinstance(value, dict) and "title" in value and "body" in value:
        # `updated_at` changes with each label that an agent sets: the agent's own work would bring the issue back
        part = [value["title"], value["body"]]
    else:
        part = value
    return sha256(_canonical(part).encode("utf-8", "surrogatepass")).hexdigest()


def _title(value: Any, reading: Reading) -> str:
    found = evaluate(reading.title, value) if reading.title is not None else _first(value, TITLES)
    return shorten(found, _TITLE_CHARACTERS) if isinstance(found, str) else ""


def _first(value: Any, names: Sequence[str]) -> Any:
    if not isinstance(value, dict):
        return value
    return next((value[name] for name in names if value.get(name) not in (None, "")), None)


def _url(value: Any) -> str | None:
    """Return the item's address for people, None if it is not safe to link to."""
    found = _first(value, ("html_url", "url")) if isinstance(value, dict) else None
    if not isinstance(found, str) or len(found) > 2_000 or not found.isprintable() or " " in found:
        return None
    try:
        parts = urlsplit(found)
    except ValueError:
        return None
    return found if parts.scheme in ("http", "https") and parts.netloc else None


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
