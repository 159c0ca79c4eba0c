"""Makes the root of a schema a plain object, as the provider wants the input of a tool."""

from __future__ import annotations

import re
from typing import Any

from agent.json_schema.errors import SchemaRefused
from agent.json_schema.keywords import Schema

_KEY = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
"""The provider refuses a request with any other key in the properties of a tool's root; inside of them all are free."""

_MERGED = frozenset({"type", "properties", "required", "title", "description", "$ref"})
_TEXTS = ("title", "description")


def as_object_root(schema: Schema) -> Schema:
    """Return the schema with `type: object`, and no choice, at its root. Raises SchemaRefused."""
    definitions = schema.get("$defs", {})
    root = _inlined(schema, definitions)
    root = _merged(root, definitions)
    for keyword in ("anyOf", "oneOf", "allOf", "not"):
        if keyword in root:
            raise SchemaRefused(keyword, "not at the root: put the choice into a member of an object", "#")
    kind = root.get("type", "object")
    if kind != "object" and not (isinstance(kind, list) and "object" in kind):
        raise SchemaRefused("type", "its type must be object: put other values into a member of one", "#")
    values = [root["const"]] if "const" in root else root.get("enum", [{}])
    if not any(isinstance(value, dict) for value in values):
        raise SchemaRefused("const" if "const" in root else "enum", "none of its values is an object", "#")
    for name in root.get("properties", {}):
        if not _KEY.fullmatch(name):
            raise SchemaRefused("properties", f"the key {name[:70]!r} does not match {_KEY.pattern}", "#")
    return {**root, "type": "object"}


def _inlined(schema: Schema, definitions: Schema) -> Schema:
    """Return the schema with what its root refers to in the place of the reference."""
    seen = set()
    while "$ref" in schema:
        reference = schema["$ref"]
        target = definitions.get(reference.removeprefix("#/$defs/"))
        if not isinstance(target, dict) or reference in seen:
            raise SchemaRefused("$ref", "the root must be an object", "#")
        seen.add(reference)
        rest = {keyword: value for keyword, value in schema.items() if keyword != "$ref"}
        clash = [keyword for keyword in rest if keyword in target and keyword not in (*_TEXTS, "$defs")]
        if clash:
            raise SchemaRefused("$ref", f"it stands beside {clash[0]} at the root", "#")
        schema = {**target, **rest}
    return schema


def _merged(root: Schema, definitions: Schema) -> Schema:
    """Return the root with the parts of its `allOf` in it, where they only add properties."""
    for keyword in ("anyOf", "oneOf"):
        if len(root.get(keyword, [])) == 1:
            root = {**_without(root, keyword), "allOf": [*root.get("allOf", []), *root[keyword]]}
    parts: list[Any] = root.get("allOf", [])
    if not parts or "additionalProperties" in root or "patternProperties" in root:
        return root
    merged = _without(root, "allOf")
    for part in parts:
        if not isinstance(part, dict):
            return root
        part = _inlined(part, definitions)
        if not part.keys() <= _MERGED or part.get("type", "object") != "object":
            # one part alone may be anything that the root does not say itself
            return {**part, **merged} if parts == [part] and not _clash(part, merged) else root
        properties = {**merged.get("properties", {})}
        for name, value in part.get("properties", {}).items():
            properties[name] = {"allOf": [properties[name], value]} if name in properties else value
        required = list(dict.fromkeys([*merged.get("required", []), *part.get("required", [])]))
        merged = {**part, **merged, "properties": properties, "required": required, "type": "object"}
    return merged


def _clash(part: Schema, root: Schema) -> bool:
    return bool(part.keys() & root.keys() - {"title", "description", "type"}) or part.get("type", "object") != "object"


def _without(schema: Schema, keyword: str) -> Schema:
    return {name: value for name, value in schema.items() if name != keyword}
