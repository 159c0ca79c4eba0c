"""Parses the CLI's stream-json output into events."""

from __future__ import annotations

import json
import re
from typing import Any

from agent.domain.events import (
    Event,
    ModelAnswered,
    ModelRetried,
    Said,
    Started,
    TextDelta,
    ThinkingDelta,
    Thought,
    ToolCalled,
    ToolReturned,
)
from agent.domain.result import Usage

Message = dict[str, Any]

SYNTHETIC = "<synthetic>"
"""The model's name in messages that the CLI writes itself, to report an error."""

_LONE_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

TOOL_RESULT_LIMIT = 16_384
"""The most characters of a tool's result in an event; the CLI's own transcript has all of it."""


def parse_line(line: str) -> Message | None:
    """Return the message on a line, or None for a line that is no message."""
    try:
        message = json.loads(line)
        if _LONE_SURROGATE.search(line):
            message = _without_surrogates(message)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) and isinstance(message.get("type"), str) else None


def _without_surrogates(value: Any) -> Any:
    # valid in JSON's escapes, but not in UTF-8, and so in no database, log or response
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case list():
            return [_without_surrogates(one) for one in value]
        case dict():
            return {_without_surrogates(name): _without_surrogates(one) for name, one in value.items()}
    return value


def read_events(message: Message) -> list[Event]:
    """Return the events of a message; most have none."""
    match message:
        case {"type": "system", "subtype": "init"}:
            agents = [str(name) for name in message.get("agents") or []]
            started = Started(
                session_id=str(message.get("session_id", "")),
                model=str(message.get("model", "")),
                agents=agents,
            )
            return [started]
        case {"type": "system", "subtype": "api_retry"}:
            return [_retried(message)]
        case {"type": "stream_event", "event": {"type": "message_delta", "usage": dict(usage)}}:
            return [ModelAnswered(usage=_usage(usage), by_subagent=message.get("parent_tool_use_id") is not None)]
        case {"type": "stream_event", "parent_tool_use_id": None, "event": {"delta": dict(delta)}}:
            return _delta(delta)
        case {"type": "assistant", "message": {"content": list(blocks)} as spoken}:
            if spoken.get("model") == SYNTHETIC:
                return []
            own = message.get("parent_tool_use_id") is None
            return [event for block in blocks for event in _assistant_block(block, own)]
        case {"type": "user", "message": {"content": list(blocks)}}:
            return [event for block in blocks for event in _tool_result(block)]
    return []


def _retried(message: Message) -> ModelRetried:
    status = message.get("error_status")
    return ModelRetried(
        attempt=int(message.get("attempt") or 0),
        status=status if isinstance(status, int) else None,
        error=str(message.get("error", "")),
        delay_seconds=float(message.get("retry_delay_ms") or 0) / 1000,
    )


def _delta(delta: Message) -> list[Event]:
    match delta:
        case {"type": "text_delta", "text": str(text)}:
            return [TextDelta(text=text)]
        case {"type": "thinking_delta", "thinking": str(text)}:
            return [ThinkingDelta(text=text)]
    return []


def _usage(counts: Message) -> Usage:
    known = {name: count for name, count in counts.items() if name in Usage.model_fields and isinstance(count, int)}
    return Usage(**known)


def _assistant_block(block: Message, own: bool) -> list[Event]:
    # text of a subagent is for the agent that called it; its tool calls are part of the run
    match block:
        case {"type": "text", "text": str(text)} if own:
            return [Said(text=text)]
        case {"type": "thinking", "thinking": str(text)} if own:
            return [Thought(text=text)]
        case {"type": "tool_use", "id": str(identity), "name": str(name)}:
            return [ToolCalled(id=identity, name=name, input=block.get("input"))]
    return []


def _tool_result(block: Message) -> list[Event]:
    match block:
        case {"type": "tool_result", "tool_use_id": str(identity)}:
            text = _plain(block.get("content"))
            if len(text) > TOOL_RESULT_LIMIT:
                text = f"{text[:TOOL_RESULT_LIMIT]}… ({len(text)} characters in all)"
            return [ToolReturned(id=identity, text=text, is_error=bool(block.get("is_error")))]
    return []


def _plain(content: object) -> str:
    """Return a tool's result as text; it is a string or a list of blocks."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "\n".join(str(block.get("text", f"[{block.get('type')}]")) for block in content if isinstance(block, dict))
