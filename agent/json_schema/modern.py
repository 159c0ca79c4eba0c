"""Rewrites a JSON Schema of any draft, or of OpenAPI, as one of draft 2020-12 without annotations that mean nothing."""

from __future__ import annotations

import re
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError

from agent.json_schema.errors import SchemaRefused
from agent.json_schema.keywords import ANNOTATIONS, ASSERTIONS, IN_PLACE, IN_PLACE_LIST, Schema
from agent.json_schema.references import References
from agent.system.text import shorten_cause

_OLD = re.compile(r"https?://json-schema\.org/draft-0[3-7]/schema#?")
_DYNAMIC = ("$dynamicRef", "$recursiveRef")
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_.-]")


def modernize(document: Schema) -> Schema:
    """Return the schema with each `$ref` to `#` or to a member of `$defs`. Raises SchemaRefused."""
    modern = _Modernizer(document).modernize()
    try:
        # without formats: Python's regular expressions are not those of the schema
        Draft202012Validator.check_schema(modern, format_checker=FormatChecker(formats=()))
    except SchemaError as error:
        keyword = next((str(step) for step in reversed(error.absolute_path) if isinstance(step, str)), "schema")
        path = "/".join(["#", *map(str, error.absolute_path)])
        raise SchemaRefused(keyword, f"not a valid JSON Schema: {shorten_cause(error.message)}", path) from None
    return modern


class _Modernizer:
    """Translates one document; a schema that is referred to is translated once."""

    def __init__(self, document: Schema) -> None:
        self._document = document
        self._references = References(document)
        self._ignores_siblings = bool(_OLD.fullmatch(str(document.get("$schema", ""))))
        self._names: dict[str, str] = {}
        self._waiting: list[tuple[str, str, Any]] = []

    def modernize(self) -> Schema:
        root = self._schema(self._document, "#")
        definitions: Schema = {}
        while self._waiting:
            name, path, schema = self._waiting.pop()
            definitions[name] = self._schema(schema, path)
        return {**root, "$defs": definitions} if definitions else root

    def _schema(self, schema: Any, path: str) -> Any:
        if not isinstance(schema, dict):
            return schema
        for keyword in _DYNAMIC:
            if keyword in schema:
                raise SchemaRefused(keyword, "the CLI knows $ref only", path)
        if "$ref" in schema:
            siblings = {} if self._ignores_siblings else {k: v for k, v in schema.items() if k != "$ref"}
            reference = {"$ref": self._refer(schema["$ref"], path)}
            return {**reference, **self._schema(siblings, path)}
        written: Schema = {}
        for keyword, value in schema.items():
            written |= self._keyword(keyword, value, schema, f"{path}/{keyword}")
        return _nullable(written) if schema.get("nullable") is True else written

    def _keyword(self, keyword: str, value: Any, schema: Schema, path: str) -> Schema:
        match keyword:
            case "items" if isinstance(value, list):
                rest = schema.get("additionalItems", True)
                return {"prefixItems": self._list(value, path), "items": self._schema(rest, path)}
            case "exclusiveMinimum" | "exclusiveMaximum" if isinstance(value, bool):
                return {keyword: schema[bound]} if value and (bound := _bound(keyword)) in schema else {}
            case "dependencies" if isinstance(value, dict):
                required = {name: one for name, one in value.items() if isinstance(one, list)}
                schemas = {name: self._schema(one, path) for name, one in value.items() if name not in required}
                parts = {"dependentRequired": required, "dependentSchemas": schemas}
                return {name: part for name, part in parts.items() if part}
            case "properties" | "patternProperties" | "dependentSchemas" if isinstance(value, dict):
                return {keyword: {name: self._schema(one, f"{path}/{name}") for name, one in value.items()}}
            case "prefixItems" | "allOf" | "anyOf" | "oneOf":
                return {keyword: self._list(value, path)}
            case "if" if not {"then", "else"} & schema.keys():
                return {}
            case "then" | "else" if "if" not in schema:
                return {}
            case "additionalProperties" | "contains" | "items" | "propertyNames" | "unevaluatedItems":
                return {keyword: self._schema(value, path)}
            case "unevaluatedProperties" | "if" | "then" | "else" | "not":
                return {keyword: self._schema(value, path)}
        known = keyword in ASSERTIONS or isinstance(value, ANNOTATIONS.get(keyword, ()))
        return {keyword: value} if known else {}

    def _list(self, value: Any, path: str) -> Any:
        if not isinstance(value, list):
            return value
        return [self._schema(one, f"{path}/{number}") for number, one in enumerate(value)]

    def _refer(self, reference: object, path: str) -> str:
        pointer, schema = self._references.resolve(reference, path)
        if pointer == "#":
            return "#"
        if pointer not in self._names:
            self._names[pointer] = self._new_name(pointer)
            self._waiting.append((self._names[pointer], pointer, schema))
        return f"#/$defs/{self._names[pointer]}"

    def _new_name(self, pointer: str) -> str:
        name = _NOT_A_NAME.sub("_", pointer.rsplit("/", 1)[1]) or "schema"
        taken = set(self._names.values())
        return next(one for one in (name, *(f"{name}_{number}" for number in range(2, 10**6))) if one not in taken)


def _bound(keyword: str) -> str:
    return "minimum" if keyword == "exclusiveMinimum" else "maximum"


def _nullable(schema: Schema) -> Schema:
    """Return the schema with null allowed, as OpenAPI 3.0 means it."""
    kind = schema.get("type")
    if isinstance(kind, str):
        return {**schema, "type": [kind, "null"] if kind != "null" else kind}
    if isinstance(kind, list):
        return {**schema, "type": [*kind, *({"null"} - set(map(str, kind)))]}
    for keyword in ("anyOf", "oneOf"):
        if isinstance(schema.get(keyword), list):
            return {**schema, keyword: [*schema[keyword], {"type": "null"}]}
    return schema


def refuse_endless(schema: Schema) -> None:
    """Raise SchemaRefused for a schema that refers to itself without a step into the value."""
    schemas = {"#": schema, **{f"#/$defs/{name}": one for name, one in schema.get("$defs", {}).items()}}
    edges = {name: set(_in_place_references(one)) for name, one in schemas.items()}
    for start in edges:
        seen: set[str] = set()
        waiting = set(edges[start])
        while waiting:
            one = waiting.pop()
            if one == start:
                raise SchemaRefused("$ref", "it refers to itself without an end", start)
            if one not in seen:
                seen.add(one)
                waiting |= edges.get(one, set())


def _in_place_references(schema: Any) -> list[str]:
    """Return the references that judge the same value as the schema."""
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"]] if "$ref" in schema else []
    inner = [one for keyword in IN_PLACE_LIST for one in schema.get(keyword, [])]
    inner += [schema[keyword] for keyword in IN_PLACE if keyword in schema]
    inner += schema.get("dependentSchemas", {}).values()
    return own + [reference for one in inner for reference in _in_place_references(one)]
