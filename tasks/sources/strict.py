"""Strict: base of the configuration of a triage, which refuses unknown members; and its errors in one line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from agent.domain.values import Frozen


class Strict(Frozen):
    """Base of what an operator writes. A misspelt filter or cap would otherwise cost money in silence."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def describe_mistake(error: ValidationError) -> str:
    """Return the first mistake as `place: reason`."""
    place, reason = place_of_mistake(error)
    where = ".".join(str(part) for part in place)
    return f"{where}: {reason}" if where else reason


def place_of_mistake(error: ValidationError) -> tuple[tuple[str | int, ...], str]:
    """Return the place of the first mistake, and its reason: for an unknown member with the nearest known one."""
    mistakes = error.errors(include_url=False)
    # of the alternatives of a union, the one with a misspelt member is the one that was meant
    first = next((one for one in mistakes if one["type"] == "extra_forbidden"), mistakes[0])
    if first["type"] == "extra_forbidden":
        return first["loc"], _unknown(str(first["loc"][-1]), set(_members(Strict)))
    return first["loc"], first["msg"].removeprefix("Value error, ")


def refuse_unknown_members(model: type[BaseModel], given: Mapping[str, Any], name: str) -> None:
    """Raise ValidationError for a member that a model does not have, though the model itself ignores it."""
    known = set(model.model_fields) | {str(field.alias) for field in model.model_fields.values() if field.alias}
    unknown = [member for member in given if member not in known]
    if unknown and model.model_config.get("extra") != "forbid":
        problem = PydanticCustomError("unknown_member", "{reason}", {"reason": _unknown(unknown[0], known)})
        details = InitErrorDetails(type=problem, loc=(name, unknown[0]), input=given[unknown[0]])
        raise ValidationError.from_exception_data(model.__name__, [details])


def _unknown(member: str, known: Iterable[str]) -> str:
    near = get_close_matches(member, known, n=1, cutoff=0.5)
    return "unknown member" + (f"; did you mean `{near[0]}`?" if near else "")


def _members(model: type[Frozen]) -> Iterator[str]:
    yield from model.model_fields
    for kind in model.__subclasses__():
        yield from _members(kind)
