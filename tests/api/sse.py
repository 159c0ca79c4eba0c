"""Reads server-sent events, and the chunks of a chat completion in them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any


def read_events(body: str) -> list[str]:
    """The data of each event; every line is checked to be one of the two kinds that we send."""
    events = body.split("\n\n")
    assert events.pop() == ""
    assert all(event.startswith(("data: ", ": ")) and "\n" not in event for event in events), body
    return [event.removeprefix("data: ") for event in events if event.startswith("data: ")]


def read_chunks(body: str) -> list[dict[str, Any]]:
    """The chunks of a stream that ended well."""
    *chunks, last = read_events(body)
    assert last == "[DONE]"
    return [json.loads(chunk) for chunk in chunks]


def text_of(chunks: Iterable[dict[str, Any]], member: str = "content") -> str:
    """What the deltas come to."""
    deltas = (choice["delta"] for chunk in chunks for choice in chunk["choices"])
    return "".join(delta.get(member) or "" for delta in deltas)
