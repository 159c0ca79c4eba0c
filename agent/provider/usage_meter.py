"""Reads token usage from a provider response while it streams."""

from __future__ import annotations

import json
from typing import Any

from agent.domain.result import Usage
from agent.domain.values import Frozen
from agent.provider.failures import ProviderFailure, read_event

LONGEST_BYTES = 4 * 1024 * 1024
"""An answer in one piece, or a line of a stream, that is longer than this is not metered."""

COUNTED = tuple(Usage.model_fields)


class ModelCall(Frozen):
    """One model call that is over."""

    model: str | None
    status: int
    usage: Usage
    seconds: float
    complete: bool


class UsageMeter:
    """Reads along; `usage`, `model` and `trouble` grow as the answer comes."""

    def __init__(self, content_type: str, content_encoding: str) -> None:
        self.model: str | None = None
        self.trouble: ProviderFailure | None = None
        self._counts: dict[str, int] = {}
        self._pending = bytearray()
        self._streams = content_type.startswith("text/event-stream")
        self._reads = content_encoding in ("", "identity") and (self._streams or "json" in content_type)

    @property
    def usage(self) -> Usage:
        """What the call has used so far; a stream tells its output tokens only at its end."""
        return Usage(**self._counts)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body."""
        if not self._reads:
            return
        if self._streams and not self._pending and chunk.endswith(b"\n\n"):
            self._read_lines(chunk.split(b"\n"))  # as it nearly always comes: whole events
            return
        self._pending += chunk
        if self._streams:
            *lines, rest = self._pending.split(b"\n")
            self._pending = bytearray(rest)
            self._read_lines(lines)
        if len(self._pending) > LONGEST_BYTES:
            self._reads = False
            self._pending.clear()

    def finish(self) -> None:
        """The body is over: an answer in one piece can be read now."""
        if self._reads and not self._streams:
            self._read(self._pending)

    def _read_lines(self, lines: list[bytes] | list[bytearray]) -> None:
        for line in lines:
            if line.startswith(b"data:") and (b'"usage"' in line or b'"error"' in line):
                self._read(line[5:])

    def _read(self, text: bytes | bytearray) -> None:
        try:
            said = json.loads(text)
        except ValueError:
            return
        match said:
            case {"type": "message_start", "message": dict(message)}:
                self._take(message)
            case {"type": "message" | "message_delta"}:
                self._take(said)
            case {"type": "error", "error": dict(error)}:
                self.trouble = read_event(error) or self.trouble

    def _take(self, message: dict[str, Any]) -> None:
        self.model = message.get("model") or self.model
        usage = message.get("usage")
        if isinstance(usage, dict):
            counts = {name: usage.get(name) for name in COUNTED}
            self._counts |= {name: count for name, count in counts.items() if isinstance(count, int)}
