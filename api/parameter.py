"""The name of a request's member, as OpenAI writes it in `param`."""

from __future__ import annotations

from collections.abc import Sequence


def parameter(location: Sequence[int | str]) -> str | None:
    """`messages[0].content` for pydantic's ("body", "messages", 0, "user", "content"); None for the body itself."""
    name = ""
    previous: int | str = ""
    for part in location[1:]:
        match part:
            case int():
                name += f"[{part}]"
            case str() if not isinstance(previous, int):
                name += f".{part}" if name else part
        # else: the elements of our lists are tagged unions, and pydantic names the tag after the index
        previous = part
    return name if name and not name.startswith("[") else None
