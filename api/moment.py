"""Moments as callers write them: dates with a time and an offset, never bare numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator


def refuse_number(value: object) -> object:
    """What pydantic would take for seconds since 1970, or for milliseconds, whichever looks likelier."""
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return value
    raise ValueError("must be ISO 8601 with an offset, not a number")


Moment = Annotated[AwareDatetime, BeforeValidator(refuse_number)]
