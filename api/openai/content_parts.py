"""Reads `content` in the forms that clients write it: text, parts, nothing, parts of other APIs."""

from __future__ import annotations

import json
from typing import Any

_TEXT = frozenset({"text", "input_text", "output_text"})
_THOUGHT = frozenset({"reasoning", "redacted_thinking", "thinking", "reasoning_text", "summary_text"})
_CALL = frozenset({"tool-call", "tool_call", "tool_use", "function_call"})
"""Parts of an assistant's message that `tool_calls` repeats."""


def as_parts(content: object) -> object:
    """Return content as a list of parts: a string is one text part, null none. Raises ValueError for another value."""
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if isinstance(content, list):
        return [_part(one) for one in content]
    raise ValueError("must be a string or a list of parts")


def as_said(content: object) -> object:
    """Return the content of an earlier answer without its thoughts and calls."""
    parts = as_parts(content)
    assert isinstance(parts, list)
    return [one for one in parts if not (isinstance(one, dict) and _is_left_out(one.get("type")))]


def _is_left_out(kind: object) -> bool:
    return isinstance(kind, str) and kind in _THOUGHT | _CALL


def as_answer(content: object) -> object:
    """Return the content of a tool's answer; one that is neither text nor parts is its JSON."""
    if content is None or isinstance(content, str):
        return as_parts(content)
    if isinstance(content, list) and all(isinstance(one, dict) and "type" in one for one in content):
        return as_parts(content)
    return as_parts(json.dumps(content, ensure_ascii=False))


def _part(part: object) -> object:
    match part:
        case str():
            return {"type": "text", "text": part}
        case {"type": str(kind)} if kind in _TEXT:
            rest: dict[str, Any] = part if isinstance(part, dict) else {}
            return {**rest, "type": "text"} | ({"text": ""} if rest.get("text", "") is None else {})
        case {"type": "image_url", "image_url": str(url)}:
            return {"type": "image_url", "image_url": {"url": url}}
    return part
