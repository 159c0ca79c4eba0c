"""Has the model give a tuple as an object, for no form of a tuple is valid for both the CLI and the provider."""

from __future__ import annotations

import re
from typing import Any

from agent.json_schema.errors import SchemaRefused
from agent.json_schema.keywords import Schema

_MOST = 100
_ITEM = re.compile(r"item (\d{1,3}) of (\d{1,3})")
_KEPT = ("title", "description", "default")
_ARRAY = frozenset({"prefixItems", "items", "minItems", "maxItems", "type"})
_ANNOTATIONS = frozenset({"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"})


def tuple_as_object(schema: Schema, path: str) -> Schema:
    """Return the object for a schema with `prefixItems`. Raises SchemaRefused for one that says more."""
    more = schema.keys() - _ARRAY - _ANNOTATIONS
    if more:
        raise SchemaRefused("prefixItems", f"it cannot stand beside {min(more)}", path)
    kinds = schema.get("type", "array")
    if "array" not in ([kinds] if isinstance(kinds, str) else kinds):
        raise SchemaRefused("prefixItems", "the type beside it is not array", path)
    items = _items(schema, path)
    names = [f"item {number} of {len(items)}" for number in range(1, len(items) + 1)]
    made: Schema = {keyword: schema[keyword] for keyword in _KEPT[:2] if keyword in schema}
    made |= {
        "type": ["object", "null"] if "null" in kinds and not isinstance(kinds, str) else "object",
        "properties": dict(zip(names, items, strict=True)),
        "required": names,
        "additionalProperties": False,
    }
    return made


def restore_tuples(answer: Any) -> Any:
    """Return the answer with each such object as the array that it stands for."""
    match answer:
        case list():
            return [restore_tuples(item) for item in answer]
        case dict():
            numbers = [_number(name, len(answer)) for name in answer]
            if answer and sorted(numbers) == list(range(1, len(answer) + 1)):
                by_number = dict(zip(numbers, answer.values(), strict=True))
                return [restore_tuples(by_number[number]) for number in sorted(numbers)]
            return {name: restore_tuples(value) for name, value in answer.items()}
    return answer


def _items(schema: Schema, path: str) -> list[Any]:
    """Return the schema of each item; the tuple is made as short as it may be with all of its own items."""
    least, most = schema.get("minItems", 0), schema.get("maxItems", _MOST)
    items: list[Any] = schema["prefixItems"][: int(min(most, _MOST))]
    rest = schema.get("items", True)
    missing = int(min(least, _MOST + 1)) - len(items)
    if missing > 0:
        if rest is False or least > min(most, _MOST):
            raise SchemaRefused("minItems", "no array can be so long", path)
        items = [*items, *[rest] * missing]
    return items


def _number(name: str, count: int) -> int:
    """Return the place of an item that has such a name; 0 for another name."""
    found = _ITEM.fullmatch(name)
    return int(found[1]) if found and int(found[2]) == count else 0
