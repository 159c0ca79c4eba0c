"""The fingerprint of an item: a hash of what makes it new when it changes."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from tasks.sources.expressions import evaluate

TEXTS = ("body", "description")
"""Beside a `title`, the member that holds the text of an issue: GitHub, Forgejo and Gitea, and GitLab."""

MOVING = frozenset(
    [
        "updated",
        "updatedat",
        "updatedon",
        "lastupdated",
        "lastupdate",
        "lastupdatedat",
        "modified",
        "modifiedat",
        "lastmodified",
        "lastmodifiedat",
        "endsat",
        "lastseen",
        "lastseenat",
        "lastoccurrence",
        "lastevent",
        "lasteventat",
        "lastactivity",
        "lastactivityat",
        "lastactivityon",
        "lastnotificationsentat",
        "laststatuschangeat",
        "lastcheck",
        "lastchecked",
        "lastcheckedat",
        "checkedat",
        "fetchedat",
        "generatedat",
        "polledat",
        "age",
        "uptime",
        "elapsed",
        "stats",
        "views",
        "viewcount",
        "numcomments",
        "commentcount",
        "commentscount",
        "usernotescount",
        "reactions",
        "hasseen",
        "seenby",
        "subscribed",
        "issubscribed",
        "subscriptiondetails",
        "isbookmarked",
    ]
)
"""Members, in lower case without `_` and `-`, that change while nothing happens."""

COUNTS = frozenset(
    ["count", "eventcount", "eventscount", "usercount", "occurrences", "numevents", "times", "timesseen", "hits"]
)
"""Members that grow with each event: a digit more, from 100 on, is news, one event more is none."""

_FIRST_NEWS = 3


def fingerprint(value: Any, expression: str | None) -> str:
    """Return the hash of what `expression` finds; without one, of the item without the members that only move."""
    if expression is not None:
        return _digest(evaluate(expression, value))
    if isinstance(value, dict) and "title" in value:
        for name in TEXTS:
            if name in value:
                # `updated_at` changes with each label that an agent sets: the agent's own work would bring it back
                return _digest([value["title"], value[name]])
    return _digest(_settled(value))


def canonical(value: Any) -> str:
    """Return the value as JSON text that is the same for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _digest(value: Any) -> str:
    return sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()


def _settled(value: Any) -> Any:
    match value:
        case dict():
            return {name: _count(name, one) for name, one in value.items() if _plain(name) not in MOVING}
        case list():
            return [_settled(one) for one in value]
    return value


def _count(name: str, value: Any) -> Any:
    if _plain(name) not in COUNTS or isinstance(value, dict | list):
        return _settled(value)
    digits = len(str(value))
    return digits if digits >= _FIRST_NEWS and str(value).isdecimal() else None if str(value).isdecimal() else value


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
