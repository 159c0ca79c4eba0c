"""JSON Schemas that callers want answers to follow."""

from __future__ import annotations

from typing import Annotated

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from pydantic import AfterValidator, JsonValue

from agent.outcome import one_line
from api.json_object import JsonObject


def refuse_unusable(schema: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """A schema that stands for itself: of an object, valid, and without references to elsewhere."""
    if schema.get("type", "object") != "object":
        raise ValueError("its type must be object: put other values into a member of one")
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ValueError(one_line(f"not a valid JSON Schema: {error.message}")) from None
    _refuse_remote_references(schema)
    return schema


def _refuse_remote_references(schema: dict[str, JsonValue]) -> None:
    # A validator would fetch them: whatever address a caller writes there, from inside our network.
    waiting: list[JsonValue] = [schema]
    while waiting:
        match waiting.pop():
            case dict() as members:
                for keyword in ("$ref", "$dynamicRef"):
                    target = members.get(keyword, "#")
                    if isinstance(target, str) and not target.startswith("#"):
                        raise ValueError(f"{keyword} must begin with '#': {one_line(target)}")
                waiting += members.values()
            case list() as items:
                waiting += items


AnswerSchema = Annotated[JsonObject, AfterValidator(refuse_unusable)]
