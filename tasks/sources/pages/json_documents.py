"""Parses JSON and JSON Lines from untrusted sources."""

from __future__ import annotations

import json
from typing import Any

from agent.system.text import shorten
from tasks.sources.errors import SourceFailed
from tasks.sources.expressions import ExpressionFailed, evaluate

_USUAL = ("items", "data", "results", "issues")
_EXCERPT_CHARACTERS = 80


def read_json(body: bytes, whose: str) -> Any:
    """Parse a document, or JSON Lines as a list. Raises SourceFailed, also for an empty body."""
    text = body.decode("utf-8-sig", "replace")
    try:
        return _clean(json.loads(text, parse_constant=_refuse))
    except (ValueError, RecursionError):
        # not `splitlines`: JSON strings may hold U+2028 and others that it takes for the end of a line
        lines = [line for line in text.split("\n") if line.strip()]
    try:
        if not lines or not all(line.lstrip().startswith(("{", "[", '"')) for line in lines):
            raise ValueError
        return [_clean(json.loads(line, parse_constant=_refuse)) for line in lines]
    except (ValueError, RecursionError):
        raise SourceFailed(f"{whose} gave no JSON: it begins with {_excerpt(text)!r}") from None


def find_list(document: Any, expression: str | None, whose: str) -> list[Any]:
    """Return the list in a document: at the expression, or the document itself, or its first usual member."""
    try:
        found = evaluate(expression, document) if expression is not None else document
    except ExpressionFailed as failure:
        raise SourceFailed(f"{whose}: {failure}") from None
    if expression is None and isinstance(found, dict):
        found = next((found[name] for name in _USUAL if isinstance(found.get(name), list)), found)
    if not isinstance(found, list) and isinstance(document, dict) and document.get("errors"):
        # GraphQL answers 200 to a query that failed
        raise SourceFailed(f"{whose} answered with errors: {shorten(json.dumps(document['errors']), 300)}")
    if not isinstance(found, list):
        kind = "nothing" if found is None else type(found).__name__
        where = f"at {expression}" if expression is not None else "in it (say with `items` where it is)"
        raise SourceFailed(f"{whose} gave JSON, but no list {where}: {kind}")
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _clean(value: Any) -> Any:
    """Replace halves of surrogate pairs, which databases reject."""
    match value:
        case str():
            return value if value.isascii() else value.encode("utf-8", "replace").decode()
        case list():
            return [_clean(one) for one in value]
        case dict():
            return {_clean(name): _clean(one) for name, one in value.items()}
    return value


def _excerpt(text: str) -> str:
    return shorten(text, _EXCERPT_CHARACTERS)
