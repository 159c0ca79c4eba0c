"""Reads server-sent events from a byte stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class ServerSentEvent(NamedTuple):
    """One of them; a comment, which only says that the line is alive, has no data."""

    id: str | None = None
    data: str | None = None


def read_messages(chunks: Iterable[bytes]) -> Iterator[ServerSentEvent]:
    """Each message, once it is whole; what a broken line has cut off is none."""
    members: dict[str, str] = {}
    for line in _lines(chunks):
        if not line:
            yield ServerSentEvent(members.get("id"), members.get("data"))
            members = {}
            continue
        name, _, value = line.partition(":")
        if name == "data" and name in members:
            members[name] += "\n" + value.removeprefix(" ")
        else:
            members[name] = value.removeprefix(" ")


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """By line feeds alone: JSON may hold other ends of lines, which Python and httpx would split it at."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r").decode(errors="replace")
