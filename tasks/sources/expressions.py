"""JMESPath expressions over items: https://jmespath.org."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Annotated, Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult
from pydantic import AfterValidator


def refuse_bad_expression(text: str) -> str:
    """Return the expression if it is valid JMESPath."""
    try:
        _compile(text)
    except JMESPathError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"not a JMESPath expression: {reason}") from None
    return text


Expression = Annotated[str, AfterValidator(refuse_bad_expression)]


class ExpressionFailed(Exception):
    """The expression cannot be evaluated on this value, e.g. the length of a number."""


def evaluate(expression: str, value: Any) -> Any:
    """Evaluate the expression on a JSON value; None if it finds nothing. Raises ExpressionFailed."""
    try:
        return _compile(expression).search(value)
    except (JMESPathError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ExpressionFailed(f"{expression}: {reason}") from None


def is_true(value: Any) -> bool:
    """True as JMESPath defines it: everything but null, false and what is empty. Zero is true."""
    return value is not None and value is not False and value not in ("", [], {})


@lru_cache(maxsize=256)
def _compile(text: str) -> ParsedResult:
    return jmespath.compile(text)


Path = tuple[str, ...]


def member_paths(expression: str) -> set[Path]:
    """Return the members of an item that the expression reads, e.g. `user.type`."""
    found: set[Path] = set()
    _collect(_compile(expression).parsed, found)  # type: ignore[arg-type]
    return found


def missing_members(paths: Iterable[Path], values: Sequence[Any]) -> list[str]:
    """Return the paths that none of the values has, e.g. of a misspelt member; empty without values."""
    return sorted(".".join(path) for path in paths if values and _is_missing(path, values))


def _collect(node: dict[str, Any], found: set[Path]) -> Path | None:
    """Collect what `node` reads of the current value; returns its path if it is nothing but a path."""
    children = node["children"]
    match node["type"]:
        case "field" if node["value"] == "null":
            # JMESPath knows no bare `null`: it is a member that nothing has, and so null
            return None
        case "field":
            found.add((node["value"],))
            return (node["value"],)
        case "subexpression":
            first = _collect(children[0], found)
            if first is None or children[1]["type"] != "field":
                return None
            found.discard(first)
            longer = (*first, str(children[1]["value"]))
            found.add(longer)
            return longer
        case "pipe" | "projection" | "value_projection" | "filter_projection" | "flatten" | "index_expression":
            # the rest reads the result of the first part, not the item
            _collect(children[0], found)
        case "expref":
            return None
        case _:
            for child in children:
                if isinstance(child, dict):
                    _collect(child, found)
    return None


def _is_missing(path: Path, values: Sequence[Any]) -> bool:
    """True if some value could have the member and none has it."""
    possible = False
    for value in values:
        at = value
        for name in path:
            if not isinstance(at, dict):
                break
            possible = True
            if name not in at:
                break
            at = at[name]
        else:
            return False
        if isinstance(value, dict) and not isinstance(at, dict):
            # a null on the way, e.g. of `milestone.title`, says nothing about the rest
            return False
    return possible
