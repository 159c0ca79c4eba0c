"""Field types of request models: JSON object, JSON Schema, timestamp."""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, JsonValue

from agent.json_schema.translation import translate_schema

MAX_DEPTH = 64
MAX_BYTES = 100_000
"""Two of them and the rest of a request fit into the 512 KiB that Prefect accepts as parameters."""

_MAX_INTEGER = 2**63


def refuse_unstorable(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the object. Raises ValueError for one that a database or a parser would not return unchanged."""
    waiting: list[tuple[JsonValue, int]] = [(value, 1)]
    while waiting:
        one, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise ValueError(f"must not be nested deeper than {MAX_DEPTH}")
        match one:
            case dict():
                waiting += [(child, depth + 1) for pair in one.items() for child in pair]
            case list():
                waiting += [(child, depth + 1) for child in one]
            case _:
                _refuse_scalar(one)
    if len(json.dumps(value)) > MAX_BYTES:
        raise ValueError(f"must be at most {MAX_BYTES} bytes as JSON, in ASCII")
    return value


def _refuse_scalar(value: JsonValue) -> None:
    match value:
        case str() if "\0" in value:
            raise ValueError("must not contain a NUL character")
        case float() if not math.isfinite(value):
            raise ValueError("must not contain numbers too large for a float")
        case int() if not -_MAX_INTEGER <= value < _MAX_INTEGER:
            raise ValueError("must not contain integers of more than 64 bits; send them as strings")


JsonObject = Annotated[dict[str, JsonValue], AfterValidator(refuse_unstorable)]


def refuse_unusable(schema: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the schema. Raises SchemaRefused, a ValueError, for one that the CLI or the provider would not take."""
    translate_schema(schema)
    return schema


AnswerSchema = Annotated[JsonObject, AfterValidator(refuse_unusable)]


def refuse_number(value: object) -> object:
    """Return the value. Raises ValueError for a number."""
    # pydantic takes a number for seconds since 1970 or for milliseconds, by its size
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return value
    raise ValueError("must be ISO 8601 with an offset, not a number")


FIRST_YEAR, LAST_YEAR = 1970, 9000
"""Databases, time zones and sums with a time limit have room on both sides of these."""


def refuse_far(moment: datetime) -> datetime:
    """Return the moment. Raises ValueError for one that cannot be stored, or turned into another time zone."""
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"must be in a year between {FIRST_YEAR} and {LAST_YEAR}")
    return moment


Moment = Annotated[AwareDatetime, BeforeValidator(refuse_number), AfterValidator(refuse_far)]
