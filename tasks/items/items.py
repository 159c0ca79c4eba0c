"""Items made from source readings, each with a key and a fingerprint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, JsonValue

from agent.domain.values import Frozen
from agent.system.text import shorten
from tasks.items.dates import read_date
from tasks.items.fingerprints import canonical, fingerprint
from tasks.sources.base import Reading
from tasks.sources.errors import SourceFailed
from tasks.sources.expressions import ExpressionFailed, evaluate, is_true, member_paths, missing_members

KEYS = ("html_url", "id", "url", "key", "number", "path", "name")
"""The members that may be an item's key, in this order, if no expression says it."""

TITLES = ("title", "subject", "name", "path", "summary", "message", "description")

LINKS = ("html_url", "web_url", "permalink", "generatorURL", "link", "url")
"""The members that may be an item's address for people, in this order, if no expression says it."""

_PROBLEM_CHARACTERS = 200
_TITLE_CHARACTERS = 120
_MEMBERS_NAMED = 20


class Item(Frozen):
    """One item of a source. Its content is untrusted."""

    key: str
    fingerprint: str
    title: str
    url: str | None
    value: JsonValue
    shown: JsonValue = Field(default=None, description="What the agent is shown in place of the whole value.")
    came_at: datetime | None = None
    group: str | None = Field(default=None, description="Items of one group are judged by one run.")

    def with_details(self, details: dict[str, JsonValue]) -> Item:
        """Return the item with what was read beside it, for templates and for what the agent is shown."""
        if not details or not isinstance(self.value, dict):
            return self
        shown = {**self.shown, **details} if isinstance(self.shown, dict) else self.shown
        return self.model_copy(update={"value": {**self.value, **details}, "shown": shown})


class Listing(Frozen):
    """The items of a source in its order, and the values that are no items."""

    items: list[Item] = []
    values: int = Field(default=0, description="How many values the source gave.")
    left_out: int = Field(default=0, description="Values for which `where` is not true.")
    unreadable: int = Field(default=0, description="Values without a key, or with the key of a different value.")
    problems: list[str] = []
    notes: list[str] = []


def read_items(values: Sequence[Any], reading: Reading, *, asked: Reading | None = None) -> Listing:
    """Make items of `values`, each key once. A value without a key becomes a problem of the listing.

    `asked` has the operator's own expressions: members in them that no value has become notes.
    """
    items: dict[str, Item] = {}
    problems: list[str] = []
    left_out, unreadable = 0, 0
    for position, value in enumerate(values):
        try:
            item = _read(value, reading)
        except (ExpressionFailed, ValueError) as problem:
            problems.append(shorten(f"item {position + 1}: {problem}", _PROBLEM_CHARACTERS))
            unreadable += 1
            continue
        if item is None:
            left_out += 1
            continue
        if item.key in items:
            problems.append(shorten(f"item {position + 1}: its key was there already: {item.key}", _PROBLEM_CHARACTERS))
            # an item that moved to the next page while pages were read is there twice, unchanged
            unreadable += items[item.key].fingerprint != item.fingerprint
            continue
        items[item.key] = item
    return Listing(
        items=list(items.values()),
        values=len(values),
        left_out=left_out,
        unreadable=unreadable,
        problems=problems,
        notes=_name_missing(values, asked) if asked is not None else [],
    )


def refuse_unreadable(listing: Listing, values: Sequence[Any], reading: Reading) -> None:
    """Raise SourceFailed if the source gave something and none of it could be judged."""
    if listing.items or not listing.unreadable:
        return
    present = Counter(name for value in values if isinstance(value, dict) for name in value)
    members = ", ".join(name for name, _ in present.most_common(_MEMBERS_NAMED)) or "none"
    wanted = f"`{reading.key}`" if reading.key is not None else f"none of {', '.join(KEYS)}"
    raise SourceFailed(
        f"none of {listing.unreadable} listed values could be read; the first: {listing.problems[0]}; "
        f"key: {wanted}; members there: {shorten(members, 400)}; set `key` to what names an item"
    )


def _name_missing(values: Sequence[Any], asked: Reading) -> list[str]:
    """Return a note for each of the operator's expressions that reads a member which no value has."""
    notes = []
    for name, expressions in asked:
        for expression in expressions if isinstance(expressions, tuple) else (expressions,):
            missing = missing_members(member_paths(expression), values) if expression else []
            notes += [f"{name}: no item has `{member}`" for member in missing]
    return notes


def _read(value: Any, reading: Reading) -> Item | None:
    if not all(is_true(evaluate(condition, value)) for condition in reading.where):
        return None
    key = _key(value, reading)
    return Item(
        key=key,
        fingerprint=fingerprint(value, reading.fingerprint),
        title=_title(value, reading) or shorten(key, _TITLE_CHARACTERS),
        url=_url(value, reading),
        value=value,
        shown=evaluate(reading.show, value) if reading.show is not None else None,
        came_at=read_date(value, reading.date),
        group=_group(value, reading),
    )


def _group(value: Any, reading: Reading) -> str | None:
    found = evaluate(reading.group, value) if reading.group is not None else None
    return None if found in (None, "", [], {}) else canonical(found)


def _key(value: Any, reading: Reading) -> str:
    found = evaluate(reading.key, value) if reading.key is not None else _first(value, KEYS)
    if found is None or isinstance(found, bool) or found in ("", [], {}):
        raise ValueError(f"no key: {reading.key or 'none of ' + ', '.join(KEYS)} says nothing here")
    if isinstance(found, list) and not any(is_true(one) or one == 0 for one in found):
        raise ValueError(f"no key: {reading.key} finds only nulls here")
    return found if isinstance(found, str) else canonical(found)


def _title(value: Any, reading: Reading) -> str:
    found = evaluate(reading.title, value) if reading.title is not None else _first(value, TITLES)
    if isinstance(found, list):
        found = " ".join(str(one) for one in found if is_true(one))
    return shorten(found, _TITLE_CHARACTERS) if isinstance(found, str) else ""


def _first(value: Any, names: Sequence[str]) -> Any:
    if not isinstance(value, dict):
        return value
    return next((value[name] for name in names if value.get(name) not in (None, "")), None)


def _url(value: Any, reading: Reading) -> str | None:
    """Return the item's address for people, None if it is not safe to link to."""
    if reading.link is not None:
        return _safe(evaluate(reading.link, value))
    links = (_safe(value.get(name)) for name in LINKS) if isinstance(value, dict) else ()
    return next((link for link in links if link is not None), None)


def _safe(found: Any) -> str | None:
    if not isinstance(found, str) or len(found) > 2_000 or not found.isprintable() or " " in found:
        return None
    try:
        parts = urlsplit(found)
    except ValueError:
        return None
    return found if parts.scheme in ("http", "https") and parts.netloc else None
