"""Rewrites an answer's JSON Schema for the CLI: equal, or stricter where that keeps it satisfiable.

The CLI compiles it with Ajv (draft 7, strict). A schema that does not compile switches structured output off, with
a log line and without an error. The provider reads the same schema as draft 2020-12, and wants an object at the root.
"""

from __future__ import annotations

import re
from typing import Any

from agent.json_schema.errors import SchemaRefused
from agent.json_schema.keywords import Schema, escape
from agent.json_schema.modern import modernize, refuse_endless
from agent.json_schema.patterns import to_javascript
from agent.json_schema.root import as_object_root
from agent.json_schema.tuples import tuple_as_object

_REFUSED = {
    "maxContains": "the CLI has no such keyword",
    "unevaluatedItems": "the CLI has no such keyword; use items",
}
_FIXED_PREFIX = re.compile(r"\^([A-Za-z0-9_-]+)(?:\.[*+])?\$?")


def translate_schema(schema: dict[str, Any]) -> Schema:
    """Return what the CLI is given for a schema. Raises SchemaRefused."""
    modern = modernize(schema)
    refuse_endless(modern)
    root = as_object_root(modern)
    written: Schema = _translate(root, "#")
    return written


def _translate(schema: Any, path: str) -> Any:
    if not isinstance(schema, dict):
        return schema
    _refuse(schema, path)
    if "prefixItems" in schema:
        schema = tuple_as_object(schema, path)
    schema = _split_overlap(_closed(schema, path), path)
    written: Schema = {}
    for keyword, value in schema.items():
        written |= _keyword(keyword, value, f"{path}/{keyword}")
    dependencies = {**schema.get("dependentRequired", {}), **written.pop("dependentSchemas", {})}
    return {**written, "dependencies": dependencies} if dependencies else written


def _keyword(keyword: str, value: Any, path: str) -> Schema:
    match keyword:
        case "properties" | "dependentSchemas" | "$defs":
            return {keyword: {name: _translate(one, f"{path}/{escape(name)}") for name, one in value.items()}}
        case "patternProperties":
            named = {to_javascript(name, keyword, path): one for name, one in value.items()}
            return {keyword: {name: _translate(one, f"{path}/{escape(name)}") for name, one in named.items()}}
        case "allOf" | "anyOf" | "oneOf":
            return {keyword: [_translate(one, f"{path}/{number}") for number, one in enumerate(value)]}
        case "pattern":
            return {keyword: to_javascript(value, path=path)}
        case "dependentRequired" | "minContains":
            return {}
    return {keyword: _translate(value, path) if isinstance(value, dict) and keyword not in _VALUES else value}


_VALUES = frozenset({"const", "default"})


def _refuse(schema: Schema, path: str) -> None:
    for keyword, reason in _REFUSED.items():
        if keyword in schema:
            raise SchemaRefused(keyword, reason, path)
    if schema.get("minContains", 1) != 1 and "contains" in schema:
        raise SchemaRefused("minContains", "the CLI has no such keyword", path)
    if schema.get("enum") == []:
        raise SchemaRefused("enum", "no value can satisfy it", path)
    if "__proto__" in (*schema.get("properties", {}), *schema.get("required", [])):
        raise SchemaRefused("properties", "no property can be named __proto__", path)
    both = schema.get("dependentRequired", {}).keys() & schema.get("dependentSchemas", {}).keys()
    if both:
        raise SchemaRefused("dependentSchemas", f"{min(both)} is in dependentRequired, too", path)


def _closed(schema: Schema, path: str) -> Schema:
    """Return the schema with `additionalProperties` for an `unevaluatedProperties` that means the same."""
    if "unevaluatedProperties" not in schema:
        return schema
    rest = {keyword: value for keyword, value in schema.items() if keyword != "unevaluatedProperties"}
    if schema["unevaluatedProperties"] is True or "additionalProperties" in schema:
        return rest
    inner = {"$ref", "allOf", "anyOf", "oneOf", "if", "dependentSchemas"} & schema.keys()
    if inner:
        reason = f"the CLI has no such keyword; beside {', '.join(sorted(inner))} nothing means the same"
        raise SchemaRefused("unevaluatedProperties", reason, path)
    return {**rest, "additionalProperties": schema["unevaluatedProperties"]}


def _split_overlap(schema: Schema, path: str) -> Schema:
    """Return the schema without a property that a pattern matches as well: strict Ajv refuses one."""
    if not ("properties" in schema and "patternProperties" in schema):
        return schema
    if schema.get("additionalProperties", True) is True:
        rest = {keyword: value for keyword, value in schema.items() if keyword != "patternProperties"}
        split = {"patternProperties": schema["patternProperties"]}
        return {**rest, "allOf": [*schema.get("allOf", []), split]}
    for pattern in schema["patternProperties"]:
        prefix = _FIXED_PREFIX.fullmatch(pattern)
        if prefix is None or any(name.startswith(prefix[1]) for name in schema["properties"]):
            reason = "it may match a name in properties, which cannot be told apart beside additionalProperties"
            raise SchemaRefused("patternProperties", reason, path)
    return schema
