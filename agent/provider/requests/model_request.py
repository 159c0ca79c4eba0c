"""A request to the Messages API, parsed strictly, and an estimate of what it will use."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from agent.provider.pricing import CallUsage

BYTES_PER_TOKEN = 3.5
"""Of text and code; an estimate on the high side."""

IMAGE_TOKENS = 1600
OUTPUT_TOKENS_RESERVED = 32_000
"""A call may ask for 128,000; hardly any uses more than this, and parallel calls have to fit into a budget."""

OUTPUT_TOKENS_PER_SECOND = 80.0
"""How fast a model writes: for what a call that was hung up on had used until then."""

LARGEST_OUTPUT_TOKENS = 128_000
DEEPEST = 200


class Unreadable(Exception):
    """The body is no JSON object that every reader reads alike; the message says why."""


@dataclass(frozen=True)
class ModelRequest:
    """One POST to the Messages API, made from its body and soon forgotten; `body` is empty where none was sent."""

    body: dict[str, Any]
    size: int

    def expected(self) -> ExpectedUse:
        """Return what the call will use, as far as its request tells."""
        model, limit = self.body.get("model"), self.body.get("max_tokens")
        data, images = _inline_data(self.body)
        return ExpectedUse(
            model=model if isinstance(model, str) else "",
            input_tokens=int((self.size - data) / BYTES_PER_TOKEN) + images * IMAGE_TOKENS,
            max_tokens=min(max(limit, 0), LARGEST_OUTPUT_TOKENS) if isinstance(limit, int) else LARGEST_OUTPUT_TOKENS,
            streams=self.body.get("stream") is True,
        )


@dataclass(frozen=True)
class ExpectedUse:
    """The use of one call as its request tells it; lives as long as the call. No token counts as cached."""

    model: str
    input_tokens: int
    max_tokens: int
    streams: bool

    def reserved(self) -> CallUsage:
        """Return what is reserved for the call before it is made."""
        return CallUsage(input_tokens=self.input_tokens, output_tokens=min(self.max_tokens, OUTPUT_TOKENS_RESERVED))

    def output_tokens_after(self, answered_bytes: int, seconds: float) -> int:
        """Return how much the call had written after `seconds`, of which `answered_bytes` of a stream were seen."""
        if not self.streams:
            # nobody can see how far it came, and the provider may well write it to its end
            return min(self.max_tokens, OUTPUT_TOKENS_RESERVED)
        # an event of a stream has some hundred bytes for a few tokens; thinking that is not shown has none at all
        return min(self.max_tokens, int(max(seconds * OUTPUT_TOKENS_PER_SECOND, answered_bytes / 100)))


def read_model_request(content: bytes) -> ModelRequest:
    """Parse a body; raises Unreadable. An empty one is left to the provider, which refuses it."""
    if not content.strip():
        return ModelRequest({}, 0)
    try:
        body = json.loads(content.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_constant)
    except Unreadable:
        raise
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the body is no JSON ({type(error).__name__})") from None
    if not isinstance(body, dict):
        raise Unreadable("the body is no JSON object")
    return ModelRequest(body, len(content))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # of a name that comes twice one reader takes the first and another the last: what was judged might not be what acts
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unreadable("a JSON object has the same name twice")
    return found


def _no_constant(name: str) -> Any:
    raise Unreadable(f"{name} is no JSON")


def _inline_data(body: dict[str, Any]) -> tuple[int, int]:
    """Return the characters of inline images, and their number. A document counts by its size."""
    characters = images = 0
    messages = body.get("messages")
    for block in _blocks(messages if isinstance(messages, list) else []):
        source = block.get("source")
        if block.get("type") == "image" and isinstance(source, dict) and isinstance(source.get("data"), str):
            characters += len(source["data"])
            images += 1
    return characters, images


def _blocks(items: Iterable[Any], depth: int = 0) -> Iterable[dict[str, Any]]:
    for item in items:
        if isinstance(item, dict) and depth < DEEPEST:
            yield item
            if isinstance(content := item.get("content"), list):
                yield from _blocks(content, depth + 1)
