"""Schemas as clients send them, and what the CLI is given for each; or the reason why none is."""

from typing import Any

import pytest

from agent.json_schema.errors import SchemaRefused
from agent.json_schema.translation import translate_schema
from agent.json_schema.tuples import restore_tuples

STRING, INTEGER = {"type": "string"}, {"type": "integer"}


def member(schema: Any, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"v": schema}, **more}


def translated(schema: Any, **more: Any) -> Any:
    """What a schema becomes as a member of an object."""
    return translate_schema(member(schema, **more))["properties"]["v"]


@pytest.mark.parametrize(
    "dialect",
    [
        "https://json-schema.org/draft/2020-12/schema",
        "https://json-schema.org/draft/2019-09/schema",
        "http://json-schema.org/draft-07/schema#",
        "https://json-schema.org/draft-07/schema",
    ],
)
def test_the_dialect_is_not_named(dialect: str) -> None:
    assert translate_schema({"$schema": dialect, **member(STRING)}) == member(STRING)


def test_a_nested_model_keeps_its_references() -> None:
    schema = member({"$ref": "#/$defs/Inner"}, **{"$defs": {"Inner": member(INTEGER), "Unused": STRING}})
    assert translate_schema(schema) == member({"$ref": "#/$defs/Inner"}, **{"$defs": {"Inner": member(INTEGER)}})


def test_a_reference_to_anything_is_one_to_a_definition() -> None:
    schema = {
        "properties": {"a": {"$anchor": "here", **STRING}, "b": {"$ref": "#/properties/a"}, "c": {"$ref": "#here"}}
    }
    given = translate_schema(schema)
    assert given["properties"]["b"] == {"$ref": "#/$defs/a"} == given["properties"]["c"]
    assert given["$defs"] == {"a": STRING}


def test_a_root_that_is_a_reference_is_what_it_refers_to() -> None:
    node = member({"type": "array", "items": {"$ref": "#/$defs/Node"}})
    assert translate_schema({"$ref": "#/$defs/Node", "$defs": {"Node": node}}) == {**node, "$defs": {"Node": node}}


def test_a_schema_may_be_named_by_its_own_address() -> None:
    schema = {"$id": "https://x.example/s", **member({"$ref": "https://x.example/s#/$defs/a"}), "$defs": {"a": STRING}}
    assert translate_schema(schema)["properties"]["v"] == {"$ref": "#/$defs/a"}


@pytest.mark.parametrize(
    ("sent", "given"),
    [
        (
            {"$comment": "x", "x-order": 1, "example": "a", "id": "A", "examples": ["a"], **STRING},
            {"examples": ["a"], **STRING},
        ),
        ({"title": 5, "examples": "a", "description": "d", **STRING}, {"description": "d", **STRING}),
        ({"discriminator": {"propertyName": "t"}, "oneOf": [STRING, INTEGER]}, {"oneOf": [STRING, INTEGER]}),
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        ({"anyOf": [STRING], "nullable": True}, {"anyOf": [STRING, {"type": "null"}]}),
        ({"minimum": 1, "exclusiveMinimum": True}, {"minimum": 1, "exclusiveMinimum": 1}),
        ({"if": STRING}, {}),
        ({"then": STRING}, {}),
        ({"dependentRequired": {"a": ["b"]}}, {"dependencies": {"a": ["b"]}}),
        ({"dependentSchemas": {"a": STRING}}, {"dependencies": {"a": STRING}}),
        ({"unevaluatedProperties": False}, {"additionalProperties": False}),
        ({"contains": STRING, "minContains": 1}, {"contains": STRING}),
        ({"type": "string", "pattern": r"^[\w-\.]+\@x$"}, {"type": "string", "pattern": r"^[\w\-\.]+@x$"}),
        ({"const": {"$ref": "#/nowhere", "prefixItems": 1}}, {"const": {"$ref": "#/nowhere", "prefixItems": 1}}),
        (
            {"properties": {"x-a": STRING}, "patternProperties": {"^x-": INTEGER}},
            {"properties": {"x-a": STRING}, "allOf": [{"patternProperties": {"^x-": INTEGER}}]},
        ),
    ],
)
def test_what_the_cli_does_not_know_is_said_in_what_it_knows(sent: Any, given: Any) -> None:
    assert translated(sent) == given


@pytest.mark.parametrize(
    "pair",
    [
        {"type": "array", "prefixItems": [STRING, INTEGER], "minItems": 2, "maxItems": 2},
        {"type": "array", "prefixItems": [STRING, INTEGER], "items": False},
        {"type": "array", "items": [STRING, INTEGER], "additionalItems": False},
        {"prefixItems": [STRING], "items": INTEGER, "minItems": 2},
    ],
)
def test_a_tuple_is_given_as_an_object_and_comes_back_as_an_array(pair: Any) -> None:
    assert translated(pair) == {
        "type": "object",
        "properties": {"item 1 of 2": STRING, "item 2 of 2": INTEGER},
        "required": ["item 1 of 2", "item 2 of 2"],
        "additionalProperties": False,
    }
    answer = {"v": [{"item 2 of 2": 7, "item 1 of 2": "a"}], "w": {"item 1 of 2": 1}, "x": {}}
    assert restore_tuples(answer) == {"v": [["a", 7]], "w": {"item 1 of 2": 1}, "x": {}}


def test_the_parts_of_a_root_that_only_add_members_are_one_object() -> None:
    base = {"type": "object", "properties": {"a": STRING}, "required": ["a"]}
    schema = {"allOf": [{"$ref": "#/definitions/Base"}, {"properties": {"b": INTEGER}}], "definitions": {"Base": base}}
    given = translate_schema(schema)
    assert (given["type"], given["properties"], given["required"]) == ("object", {"a": STRING, "b": INTEGER}, ["a"])
    assert "allOf" not in given


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        (member({"$ref": "#/$defs/nothing"}), "$ref"),
        (member({"$ref": "http://127.0.0.1/schema.json"}), "$ref"),
        (member({"$ref": 5}), "$ref"),
        ({"properties": {"a": {"allOf": [{"$ref": "#/properties/a"}]}}}, "$ref"),
        ({"$ref": "#"}, "$ref"),
        (member({"$dynamicRef": "#node"}), "$dynamicRef"),
        (member({"$id": "other.json", "items": {"$ref": "#/x"}}), "$id"),
        ({"anyOf": [member(STRING), member(INTEGER)]}, "anyOf"),
        ({"oneOf": [member(STRING), member(INTEGER)]}, "oneOf"),
        ({"type": "object", "allOf": [{"not": STRING}, {"not": INTEGER}]}, "allOf"),
        ({"type": "object", "not": member(STRING)}, "not"),
        ({"enum": [1, "a"]}, "enum"),
        ({"const": 1}, "const"),
        ({"type": "array", "items": STRING}, "type"),
        ({"type": ["string", "null"]}, "type"),
        (member({"type": "nope"}), "type"),
        (member({"type": "OBJECT"}), "type"),
        ({"properties": {"no spaces": STRING}}, "properties"),
        ({"properties": {"ä": STRING}}, "properties"),
        ({"properties": {"a" * 65: STRING}}, "properties"),
        (member({"properties": {"__proto__": STRING}}), "properties"),
        (member({"enum": []}), "enum"),
        (member({"required": True}), "required"),
        (member({"minLength": -1}), "minLength"),
        (member({"contains": STRING, "minContains": 2}), "minContains"),
        (member({"contains": STRING, "maxContains": 2}), "maxContains"),
        (member({"unevaluatedItems": False}), "unevaluatedItems"),
        (member({"allOf": [STRING], "unevaluatedProperties": False}), "unevaluatedProperties"),
        (member({"prefixItems": [STRING], "uniqueItems": True}), "prefixItems"),
        (member({"pattern": "(?i)x"}), "pattern"),
        (member({"patternProperties": {"a++": STRING}}), "patternProperties"),
        (
            member({"properties": {"ab": {}}, "patternProperties": {"b": {}}, "additionalProperties": False}),
            "patternProperties",
        ),
    ],
)
def test_what_has_no_equal_is_refused_with_its_keyword(schema: Any, keyword: str) -> None:
    with pytest.raises(SchemaRefused) as refusal:
        translate_schema(schema)
    assert refusal.value.keyword == keyword
    assert repr(keyword) in str(refusal.value)
