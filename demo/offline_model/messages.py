"""Encodes answers as the Messages API sends them: one JSON object, or a stream of server-sent events."""

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Literal

from pydantic import BaseModel

from demo.offline_model.script import Failure

# One event of several megabytes is nothing that the real API would send.
LARGEST_DELTA = 65_536
SIGNATURE = "b2ZmbGluZSBtb2RlbA=="

Event = dict[str, Any]


class Text(BaseModel, frozen=True):
    """Text, streamed in at least `chunks` deltas as far as it has characters for them."""

    type: Literal["text"] = "text"
    text: str
    chunks: int = 1


class Thinking(BaseModel, frozen=True):
    """Thinking, with a signature that nobody checks."""

    type: Literal["thinking"] = "thinking"
    thinking: str


class ToolUse(BaseModel, frozen=True):
    """A tool call."""

    type: Literal["tool_use"] = "tool_use"
    id: str
    name: str
    input: dict[str, Any]


class TokenUsage(BaseModel, frozen=True):
    """What an answer is billed by."""

    input_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    output_tokens: int


class Answer(BaseModel, frozen=True):
    """One whole answer of the model."""

    id: str
    model: str
    content: tuple[Text | Thinking | ToolUse, ...]
    stop_reason: str
    usage: TokenUsage


def encode_message(answer: Answer) -> bytes:
    """Return the body of an answer that is not streamed."""
    content = [closed_block(block) for block in answer.content]
    message = opening_message(answer) | {"content": content, "stop_reason": answer.stop_reason}
    return json.dumps(message | {"usage": answer.usage.model_dump()}).encode()


def encode_stream(answer: Answer, *, whole: bool = True) -> list[bytes]:
    """Return the stream in the parts that pauses may lie between; without its end unless `whole`."""
    parts = [encode_event({"type": "message_start", "message": opening_message(answer)})]
    ends: list[Event] = []
    for index, block in enumerate(answer.content):
        start = {"type": "content_block_start", "index": index, "content_block": open_block(block)}
        parts[-1] += b"".join(map(encode_event, [*ends, start]))
        for position, delta in enumerate(deltas(block)):
            event = encode_event({"type": "content_block_delta", "index": index, "delta": delta})
            if position and isinstance(block, Text):
                parts.append(event)
            else:
                parts[-1] += event
        ends = [{"type": "content_block_stop", "index": index}]
    if whole:
        parts[-1] += b"".join(map(encode_event, [*ends, *closing_events(answer)]))
    return parts


def encode_error(failure: Failure) -> bytes:
    """Return the body of an error answer."""
    error = {"type": failure.error_type, "message": failure.message}
    return json.dumps({"type": "error", "error": error, "request_id": "req_offline"}).encode()


def encode_event(event: Event) -> bytes:
    """Return one server-sent event."""
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def opening_message(answer: Answer) -> Event:
    """Return the message as it stands before anything was said."""
    return {
        "id": answer.id,
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": answer.usage.model_dump() | {"output_tokens": 1},
    }


def closing_events(answer: Answer) -> list[Event]:
    """Return the events that say why the message ended and what it cost."""
    delta = {"stop_reason": answer.stop_reason, "stop_sequence": None}
    return [
        {"type": "message_delta", "delta": delta, "usage": answer.usage.model_dump()},
        {"type": "message_stop"},
    ]


def closed_block(block: Text | Thinking | ToolUse) -> Event:
    """Return a block as it stands in a whole message."""
    match block:
        case Text():
            return {"type": "text", "text": block.text}
        case Thinking():
            return {"type": "thinking", "thinking": block.thinking, "signature": SIGNATURE}
        case ToolUse():
            return block.model_dump()


def open_block(block: Text | Thinking | ToolUse) -> Event:
    """Return a block as it starts in a stream."""
    match block:
        case Text():
            return {"type": "text", "text": ""}
        case Thinking():
            return {"type": "thinking", "thinking": "", "signature": ""}
        case ToolUse():
            return block.model_dump() | {"input": {}}


def deltas(block: Text | Thinking | ToolUse) -> Iterator[Event]:
    """Yield what a block is streamed in."""
    match block:
        case Text():
            for piece in split_text(block.text, block.chunks):
                yield {"type": "text_delta", "text": piece}
        case Thinking():
            yield {"type": "thinking_delta", "thinking": block.thinking}
            yield {"type": "signature_delta", "signature": SIGNATURE}
        case ToolUse():
            yield {"type": "input_json_delta", "partial_json": json.dumps(block.input)}


def split_text(text: str, chunks: int) -> list[str]:
    """Split text into `chunks` pieces of like size: fewer when it is short, more when a piece would be too large."""
    count = max(min(chunks, len(text)), -(-len(text) // LARGEST_DELTA), 1)
    edges = [len(text) * position // count for position in range(count + 1)]
    return [text[start:end] for start, end in pairwise(edges)]
