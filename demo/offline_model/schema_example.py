"""Makes an object that conforms to a JSON Schema, with values that fit where a name suggests them."""

import math
import re
from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]
# Below this, only what is required is made: a schema that refers to itself would never end.
DEEP = 4
IMPOSSIBLE: list[Any] = [False, {"not": {}}, {"not": True}]
FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "email": "offline@example.invalid",
    "uri": "https://example.invalid/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "127.0.0.1",
}


EXAMPLES = (
    "",
    "a",
    "A",
    "0",
    "12",
    "aa",
    "ab1",
    "AB-12",
    "abc",
    "2026-01-01",
    "offline@example.invalid",
    *FORMATS.values(),
)
"""Tried where a pattern is asked for."""


def make_specimen(schema: Schema, hints: Mapping[str, Any], text: str) -> Any:
    """Return a value for `schema`: hints by property name where they conform, else `text`, else the smallest value."""
    return _Maker(schema, hints, text).make(schema, hint=None, depth=0)


class _Maker:
    def __init__(self, root: Schema, hints: Mapping[str, Any], text: str) -> None:
        self.root = root
        self.hints = hints
        self.text = text

    def make(self, schema: Schema, hint: Any, depth: int) -> Any:
        schema = self.resolve(schema, depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            kinds = [value for value in schema["enum"] if isinstance(value, dict)] if depth == 0 else schema["enum"]
            return hint if hint in kinds else kinds[0]
        match kind_of(schema):
            case "object":
                return self.make_object(schema, depth)
            case "array":
                return self.make_array(schema, hint, depth)
            case "integer" | "number" as kind:
                return make_number(schema, hint, kind)
            case "boolean":
                return hint if isinstance(hint, bool) else False
            case "null":
                return None
            case _:
                return make_string(schema, hint if isinstance(hint, str) else self.text)

    def make_object(self, schema: Schema, depth: int) -> dict[str, Any]:
        required = set(schema.get("required", ()))
        properties: dict[str, Schema] = schema.get("properties", {}) | {
            name: {} for name in required - set(schema.get("properties", {}))
        }
        wanted = {
            name: member
            for name, member in properties.items()
            if name in required or (depth < DEEP and member not in IMPOSSIBLE)
        }
        made = {name: self.make(member, self.hints.get(name.lower()), depth + 1) for name, member in wanted.items()}
        missing = schema.get("minProperties", 0) - len(made)
        return made | {f"more{number}": None for number in range(missing)}

    def make_array(self, schema: Schema, hint: Any, depth: int) -> list[Any]:
        hinted = hint if isinstance(hint, list) and hint else [None] * (depth < DEEP)
        wanted = hinted[: schema.get("maxItems")]
        wanted += [None] * (schema.get("minItems", 0) - len(wanted))
        made = [self.make(schema.get("items", {}), value, depth + 1) for value in wanted]
        return [item for i, item in enumerate(made) if item not in made[:i]] if schema.get("uniqueItems") else made

    def resolve(self, schema: Schema | bool, depth: int) -> Schema:
        if isinstance(schema, bool):
            return {}
        if "$ref" in schema:
            return self.resolve(follow(self.root, schema["$ref"]), depth)
        for choice in ("anyOf", "oneOf"):
            if choice in schema:
                options = [self.resolve(option, depth) for option in schema[choice]]
                options.sort(key=lambda option: (option.get("type") == "null") == (depth < DEEP))
                return {key: value for key, value in schema.items() if key != choice} | dict(options[0])
        for part in schema.get("allOf", ()):
            schema = merge(schema, self.resolve(part, depth))
        return schema


def follow(root: Schema, reference: str) -> Schema:
    """Return the part of `root` that a local reference means."""
    found: Any = root
    for name in reference.removeprefix("#").strip("/").split("/"):
        found = found[name.replace("~1", "/").replace("~0", "~")] if name else found
    return found  # type: ignore[no-any-return]


def merge(schema: Schema, part: Schema) -> Schema:
    """Return one object schema that asks for what both ask for."""
    properties = {**schema.get("properties", {}), **part.get("properties", {})}
    required = [*schema.get("required", ()), *part.get("required", ())]
    rest = {key: value for key, value in {**schema, **part}.items() if key != "allOf"}
    return {**rest, "properties": properties, "required": required} if properties else rest


def kind_of(schema: Schema) -> str:
    """Return the type to make, the first that is not null."""
    declared = schema.get("type")
    if isinstance(declared, list):
        return next((kind for kind in declared if kind != "null"), "null")
    if declared is None:
        return "object" if "properties" in schema else "array" if "items" in schema else "string"
    return str(declared)


def make_number(schema: Schema, hint: Any, kind: str) -> Any:
    """Return the hint if it lies in the bounds, else a number that does."""
    margin = 1 if kind == "integer" else 0.001
    least = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf) + margin)
    most = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf) - margin)
    is_hinted = isinstance(hint, int if kind == "integer" else int | float) and not isinstance(hint, bool)
    bounded = min(max(hint if is_hinted else 0, least), most)
    step = schema.get("multipleOf")
    return -(-bounded // step) * step if step else bounded


def make_string(schema: Schema, text: str) -> str:
    """Return text of a length that the schema allows."""
    if schema.get("format") in FORMATS:
        return FORMATS[schema["format"]]
    if "pattern" in schema:
        text = next((one for one in (text, *EXAMPLES) if re.search(schema["pattern"], one)), text)
    text = text[: schema.get("maxLength", 200)]
    return text.ljust(schema.get("minLength", 0), ".")
