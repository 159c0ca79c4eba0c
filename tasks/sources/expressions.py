"""JMESPath expressions over items: https://jmespath.org."""

from __future__ import annotations

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
