"""Base model and constrained strings shared by the domain models."""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def refuse_nul(text: str) -> str:
    """Return text without NUL, which databases and argument lists cannot hold; raises ValueError."""
    if "\0" in text:
        raise ValueError("must not contain a NUL character; remove it and send the request again")
    return text


def refuse_unsafe_name(name: str) -> str:
    """Return a name that cannot be read as an option, a parent folder or a second line; raises ValueError."""
    if not name.strip():
        raise ValueError("must not be blank")
    if name.startswith("-"):
        raise ValueError("must not begin with '-'")
    if ".." in name.split("/"):
        raise ValueError("must not contain '..'")
    if any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in name):
        raise ValueError("must not contain control or invisible characters")
    return name


Text = Annotated[str, AfterValidator(refuse_nul)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(refuse_unsafe_name)]


class Frozen(BaseModel):
    """Base of immutable values."""

    model_config = ConfigDict(frozen=True)
