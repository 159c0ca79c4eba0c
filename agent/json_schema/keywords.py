"""The keywords of JSON Schema, sorted by what their values are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

SCHEMA = frozenset(
    {
        "additionalItems",
        "additionalProperties",
        "contains",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
SCHEMA_LIST = frozenset({"allOf", "anyOf", "oneOf", "prefixItems", "items"})
SCHEMA_MAP = frozenset({"$defs", "definitions", "dependentSchemas", "dependencies", "patternProperties", "properties"})

IN_PLACE_LIST = ("allOf", "anyOf", "oneOf")
IN_PLACE = ("if", "then", "else", "not")
"""Keywords whose schemas judge the same value as the schema that they are in."""

ASSERTIONS = frozenset(
    {
        "const",
        "dependentRequired",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "maximum",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maxContains",
        "minimum",
        "minItems",
        "minLength",
        "minProperties",
        "minContains",
        "multipleOf",
        "pattern",
        "required",
        "type",
        "uniqueItems",
    }
)
ANNOTATIONS: dict[str, type | tuple[type, ...]] = {
    "contentEncoding": str,
    "contentMediaType": str,
    "default": object,
    "deprecated": bool,
    "description": str,
    "examples": list,
    "readOnly": bool,
    "title": str,
    "writeOnly": bool,
}
"""What the model may read, and the type that each must have; all other unknown keywords are dropped."""


def children(schema: Schema) -> Iterator[tuple[str, Any]]:
    """Yield the schemas directly inside of a schema, each with the rest of its JSON Pointer."""
    for keyword, value in schema.items():
        if keyword in SCHEMA_MAP and isinstance(value, dict):
            yield from ((f"/{keyword}/{escape(name)}", child) for name, child in value.items())
        elif keyword in SCHEMA_LIST and isinstance(value, list):
            yield from ((f"/{keyword}/{number}", child) for number, child in enumerate(value))
        elif keyword in SCHEMA and isinstance(value, dict | bool):
            yield f"/{keyword}", value


def descendants(schema: Schema, path: str = "#") -> Iterator[tuple[str, Schema]]:
    """Yield a schema and all object schemas inside of it, each with its JSON Pointer."""
    waiting: list[tuple[str, Any]] = [(path, schema)]
    while waiting:
        place, one = waiting.pop()
        if isinstance(one, dict):
            yield place, one
            waiting += [(place + rest, child) for rest, child in children(one)]


def escape(name: str) -> str:
    """Return a member's name as a step of a JSON Pointer."""
    return name.replace("~", "~0").replace("/", "~1")
