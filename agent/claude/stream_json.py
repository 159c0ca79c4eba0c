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
from agent.system.numbers import read_amount, read_count

Message = dict[str, Any]

SYNTHETIC = "<synthetic>"
"""The model's name in messages that the CLI writes itself, to report an error."""

_LONE_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

TOOL_RESULT_LIMIT = 16_384
"""The most characters of a tool's result in an event; the CLI's own transcript has all of it."""


MAX_DEPTH = 100
"""Values that are nested deeper are left out: pydantic refuses them from 255 on, and recursion ends soon after."""

TOO_DEEP = "(nested too deep)"
_NOT_JSON = ("NaN", "Infinity")


def parse_line(line: str) -> Message | None:
    """Return the message on a line, or None for a line that is no message.

    What other programs could not read is left out: numbers that are none, half characters, values nested too deep.
    """
    try:
        message = json.loads(line, parse_constant=lambda _: None)
        if not is_as_parsed(line):
            message = _cleaned(message, MAX_DEPTH)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) and isinstance(message.get("type"), str) else None


def is_as_parsed(line: str) -> bool:
    """True if `parse_line` leaves nothing of the line out. Some lines of which it does not are said to be others."""
    is_flat = line.count("{") + line.count("[") <= MAX_DEPTH
    return is_flat and not any(word in line for word in _NOT_JSON) and not _LONE_SURROGATE.search(line)


def _cleaned(value: Any, depth: int) -> Any:
    match value:
        case str() if not value.isascii():
            # half characters are valid in JSON's escapes, but not in UTF-8, and so in no database, log or response
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case list() | dict() if depth == 0:
            return TOO_DEEP
        case list():
            return [_cleaned(one, depth - 1) for one in value]
        case dict():
            return {_cleaned(name, depth): _cleaned(one, depth - 1) for name, one in value.items()}
    return value


def read_stop_reason(message: Message) -> str | None:
    """Return why a hook stopped the agent, in the hook's words, if the message says so."""
    match message:
        case {"type": "system", "subtype": "hook_response", "stdout": str(printed)}:
            try:
                said = json.loads(printed)
            except (ValueError, RecursionError):
                return None
            if isinstance(said, dict) and said.get("continue") is False:
                return str(said.get("stopReason") or f"hook {message.get('hook_name')}")
        case {"type": "system", "subtype": "informational", "prompt_submit_outcome": {"reason": reason}}:
            return str(reason)
    return None


def read_events(message: Message) -> list[Event]:
    """Return the events of a message; most have none."""
    match message:
        case {"type": "system", "subtype": "init"}:
            names = message.get("agents")
            agents = [str(name) for name in names] if isinstance(names, list) else []
            started = Started(
                session_id=str(message.get("session_id", "")),
                model=str(message.get("model", "")),
                agents=agents,
            )
            return [started]
        case {"type": "system", "subtype": "api_retry"}:
            return [_retried(message)]
        case {"type": "system", "subtype": "task_notification", "tool_use_id": str(identity)}:
            # the tool that started a background task returned at once, without what came of it
            failed = message.get("status") == "failed"
            return [ToolReturned(id=identity, text=_cut(str(message.get("summary", ""))), is_error=failed)]
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
        attempt=read_count(message.get("attempt")),
        status=status if isinstance(status, int) else None,
        error=str(message.get("error", "")),
        delay_seconds=(read_amount(message.get("retry_delay_ms")) or 0) / 1000,
    )


def _delta(delta: Message) -> list[Event]:
    match delta:
        case {"type": "text_delta", "text": str(text)}:
            return [TextDelta(text=text)]
        case {"type": "thinking_delta", "thinking": str(text)}:
            return [ThinkingDelta(text=text)]
    return []


def _usage(counts: Message) -> Usage:
    return Usage(**{name: read_count(counts.get(name)) for name in Usage.model_fields})


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
            text = _cut(_plain(block.get("content")))
            return [ToolReturned(id=identity, text=text, is_error=bool(block.get("is_error")))]
    return []


def _cut(text: str) -> str:
    return text if len(text) <= TOOL_RESULT_LIMIT else f"{text[:TOOL_RESULT_LIMIT]}… ({len(text)} characters in all)"


def _plain(content: object) -> str:
    """Return a tool's result as text; it is a string or a list of blocks."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "\n".join(str(block.get("text", f"[{block.get('type')}]")) for block in content if isinstance(block, dict))
