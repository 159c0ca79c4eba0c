"""Reads token usage from a provider response while it streams."""

from __future__ import annotations

import json
from typing import Any

from agent.domain.result import Usage
from agent.domain.values import Frozen
from agent.provider.failures import ProviderFailure, read_event
from agent.provider.pricing import CallUsage

LONGEST_BYTES = 4 * 1024 * 1024
"""An answer in one piece, or a line of a stream, that is longer than this is not metered."""

COUNTED = tuple(Usage.model_fields)
LARGEST_COUNT = 10**12
"""A larger number of tokens in an answer is no number of tokens."""


class ModelCall(Frozen):
    """One model call that is over. `usage` and `cost_usd` of one that was broken off are partly an estimate."""

    model: str | None
    status: int
    usage: Usage
    seconds: float
    complete: bool
    cost_usd: float = 0.0


class UsageMeter:
    """Reads along; `usage`, `model`, `answered_bytes` and `trouble` grow as the answer comes."""

    def __init__(self, content_type: str, content_encoding: str) -> None:
        self.model: str | None = None
        self.trouble: ProviderFailure | None = None
        self.answered_bytes = 0
        self._counts: dict[str, int] = {}
        self._extra: dict[str, Any] = {}
        self._iterations: list[tuple[str | None, CallUsage]] = []
        self._pending = bytearray()
        self._streams = content_type.startswith("text/event-stream")
        self._reads = content_encoding in ("", "identity") and (self._streams or "json" in content_type)

    @property
    def usage(self) -> Usage:
        """Return the tokens so far; a stream tells its output tokens only at its end."""
        return Usage(**self._counts)

    @property
    def parts(self) -> list[tuple[str | None, CallUsage]]:
        """Return what is to be paid for, each with its model: the answer, and what the provider did for it besides."""
        return [(self.model, CallUsage(**self._counts, **self._extra)), *self._iterations]

    @property
    def is_known(self) -> bool:
        """True if the answer has told how many tokens it read."""
        return "input_tokens" in self._counts

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body."""
        self.answered_bytes += len(chunk)
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
        """Read an answer in one piece: the body is over."""
        if self._reads and not self._streams:
            self._read(self._pending)

    def _read_lines(self, lines: list[bytes] | list[bytearray]) -> None:
        for line in lines:
            if line.startswith(b"data:") and (b'"usage"' in line or b'"error"' in line):
                self._read(line[5:])

    def _read(self, text: bytes | bytearray) -> None:
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            return
        match said:
            case {"type": "message_start", "message": dict(message)}:
                self._take(message)
            case {"type": "message" | "message_delta"}:
                self._take(said)
            case {"type": "error", "error": dict(error)}:
                self.trouble = read_event(error) or self.trouble

    def _take(self, message: dict[str, Any]) -> None:
        model = message.get("model")
        self.model = model if isinstance(model, str) and model else self.model
        usage = message.get("usage")
        if not isinstance(usage, dict):
            return
        self._counts |= _counts(usage)
        self._extra |= _extra(usage)
        if isinstance(iterations := usage.get("iterations"), list):
            # the sums of `usage` are those of the answer alone: a compaction, or another model's advice, comes on top
            extra = [one for one in iterations if isinstance(one, dict) and one.get("type") not in _IN_THE_SUMS]
            self._iterations = [(_model_of(one), CallUsage(**_counts(one), **_extra(one))) for one in extra]


_IN_THE_SUMS = ("message", "fallback_message")


def _model_of(iteration: dict[str, Any]) -> str | None:
    model = iteration.get("model")
    return model if isinstance(model, str) else None


def _counts(usage: dict[str, Any]) -> dict[str, int]:
    return {name: usage[name] for name in COUNTED if _is_count(usage.get(name))}


def _extra(usage: dict[str, Any]) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    match usage.get("cache_creation"):
        case {"ephemeral_1h_input_tokens": tokens} if _is_count(tokens):
            extra["cache_creation_1h_input_tokens"] = tokens
    match usage.get("server_tool_use"):
        case {"web_search_requests": searches} if _is_count(searches):
            extra["web_searches"] = searches
    if "speed" in usage:
        extra["fast"] = usage["speed"] == "fast"
    if "inference_geo" in usage:
        extra["us_only"] = usage["inference_geo"] == "us"
    return extra


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST_COUNT
