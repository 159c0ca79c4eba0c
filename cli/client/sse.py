"""Reads server-sent events from a byte stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class ServerSentEvent(NamedTuple):
    """One server-sent event; a comment, which is a heartbeat, has no data."""

    id: str | None = None
    data: str | None = None


def read_messages(chunks: Iterable[bytes]) -> Iterator[ServerSentEvent]:
    """Yield each complete message."""
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
    """Split at line feeds alone: JSON may contain other line ends, at which Python and httpx would split."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r").decode(errors="replace")
