"""Schemas as clients of OpenAI send them: pydantic's, openai-go's, Spring AI's, and combinations of all keywords."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import random
import uuid
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter
from typing_extensions import TypedDict

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Colour(enum.Enum):
    """An enumeration: a `$ref`."""

    RED = "r"
    GREEN = "g"


class Point(NamedTuple):
    """A tuple of two types."""

    x: int
    label: str


class Inner(BaseModel):
    """A model in a model."""

    model_config = ConfigDict(title="Inside", json_schema_extra={"examples": [{"size": 1}]})
    size: int = Field(gt=0, le=10, examples=[1], description="How large.")
    pair: tuple[int, str]
    colour: Colour


class Cat(BaseModel):
    """One of a union."""

    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    """Another one."""

    kind: Literal["dog"]
    name: str


class Tree(BaseModel):
    """A model that refers to itself."""

    value: int
    children: list[Tree] = []


class Wide(BaseModel):
    """Every kind of field."""

    maybe: int | None = None
    mapping: dict[str, Inner] = {}
    pet: Cat | Dog = Field(discriminator="kind")
    either: int | str | None
    day: datetime.date
    moment: datetime.datetime
    duration: datetime.timedelta
    money: decimal.Decimal
    id: uuid.UUID
    tags: set[str]
    point: Point
    triple: tuple[float, float, float]
    many: tuple[int, ...]
    code: Annotated[str, StringConstraints(min_length=2, max_length=4)]
    few: Annotated[list[int], Field(min_length=1, max_length=3)]
    anything: Any


class Closed(BaseModel):
    """Without other members."""

    model_config = ConfigDict(extra="forbid")
    a: int


class Open(BaseModel):
    """With other members."""

    model_config = ConfigDict(extra="allow")
    a: int


class Typed(TypedDict):
    """A typed dict."""

    a: int
    inner: Inner


@dataclasses.dataclass
class Data:
    """A dataclass."""

    a: int
    names: list[str] = dataclasses.field(default_factory=list)
    inner: Inner | None = None


def pydantic_schemas() -> list[Schema]:
    """Return the schemas of all types above, as pydantic writes them for input and for output."""
    types: list[Any] = [Inner, Cat, Tree, Wide, Closed, Open, Typed, Data, list[Inner], Cat | Dog, int]
    return [TypeAdapter(kind).json_schema(mode=mode) for kind in types for mode in ("validation", "serialization")]


def written_schemas() -> list[Schema]:
    """Return schemas as openai-go (with and without references), Spring AI, and people with mistakes write them."""
    city, name = {"city": {"type": "string"}}, {"name": {"type": "string", "jsonschema_description": "Who."}}
    address = {"type": "object", "properties": city, "required": ["city"]}
    person = {"type": "object", "properties": name, "required": ["name"], "additionalProperties": False}
    reflected = {"$ref": "#/$defs/Person", "$defs": {"Person": person}}
    return [
        {"$schema": DIALECT, **person},
        {"$schema": DIALECT, "$id": "https://example.com/person", **reflected},
        {"$schema": DIALECT, "$defs": {"A": address}, "type": "object", "properties": {"home": {"$ref": "#/$defs/A"}}},
        {
            "type": "object",
            "properties": {"home": {"allOf": [{"$ref": "#/definitions/A"}]}},
            "definitions": {"A": address},
        },
        {"type": "object", "properties": {"a": {"type": "string", "nullable": True}}, "propertyOrdering": ["a"]},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/nothing"}}},
        {"anyOf": [person, address]},
        {"type": "array", "items": address},
        {"type": "object", "properties": {"with space": {"type": "string"}}},
    ]


LEAVES: list[Any] = [
    {"type": "string"},
    {"type": "string", "minLength": 3, "maxLength": 5},
    {"type": "string", "enum": ["a", "b"]},
    {"type": "string", "format": "date-time", "examples": ["2026-01-01T00:00:00Z"]},
    {"type": "integer", "minimum": -5, "exclusiveMaximum": 5},
    {"type": "number", "multipleOf": 0.25, "minimum": 0.1},
    {"type": "boolean", "$comment": "yes or no", "deprecated": True},
    {"type": ["integer", "null"], "default": None},
    {"const": {"fixed": [1, "two"]}},
    {"type": "null"},
    {"$ref": "#/$defs/Shared"},
    True,
    {"type": "string", "x-order": 3, "nullable": True},
]


def combined_schemas(count: int, seed: int = 18) -> list[Schema]:
    """Return schemas that combine the keywords at random; the same for the same seed."""
    chance = random.Random(seed)
    shared = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}
    schemas = []
    for number in range(count):
        properties = {f"m{index}": _member(chance, 3) for index in range(chance.randint(1, 4))}
        schema: Schema = {"type": "object", "properties": properties, "$defs": {"Shared": shared}}
        schema["required"] = chance.sample(sorted(properties), chance.randint(0, len(properties)))
        schemas.append(schema | ({"$schema": DIALECT} if number % 2 else {"additionalProperties": False}))
    return schemas


def _member(chance: random.Random, depth: int) -> Any:
    kind = chance.choice(["leaf"] * 4 + ["object", "array", "tuple", "anyOf", "oneOf", "allOf"] * bool(depth))
    if kind == "leaf":
        return chance.choice(LEAVES)
    inner = [_member(chance, depth - 1) for _ in range(chance.randint(1, 3))]
    match kind:
        case "object":
            properties = {f"p{index}": one for index, one in enumerate(inner)}
            return {"type": "object", "properties": properties, "required": sorted(properties)[:2], "title": "Object"}
        case "array":
            return {"type": "array", "items": inner[0], "minItems": chance.randint(0, 2), "maxItems": 3}
        case "tuple":
            return {"type": "array", "prefixItems": inner, "items": False, "minItems": len(inner)}
        case "allOf":
            parts = [{"properties": {f"q{index}": one}} for index, one in enumerate(inner)]
            return {"type": "object", "allOf": parts}
        case "oneOf":
            options = [{"properties": {"kind": {"const": index}, "v": one}} for index, one in enumerate(inner)]
            return {"oneOf": [{"type": "object", "required": ["kind"], **option} for option in options]}
    return {"anyOf": inner, "description": "One of them."}
