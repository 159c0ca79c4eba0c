"""What happens in a run while it runs, and the way up to whoever wants to know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from agent.domain.result import Usage
from agent.domain.values import Frozen


class Started(Frozen):
    """The CLI took the prompt."""

    type: Literal["started"] = "started"
    session_id: str
    model: str
    agents: list[str] = []


class TextDelta(Frozen):
    """Some more of the text that is being said; the whole of it comes as `Said`."""

    type: Literal["text_delta"] = "text_delta"
    text: str


class ThinkingDelta(Frozen):
    """Some more of what the model thinks; the whole of it comes as `Thought`."""

    type: Literal["thinking_delta"] = "thinking_delta"
    text: str


class Said(Frozen):
    """A whole block of text."""

    type: Literal["said"] = "said"
    text: str


class Thought(Frozen):
    """A whole block of thinking."""

    type: Literal["thought"] = "thought"
    text: str


class ToolCalled(Frozen):
    """The agent called a tool."""

    type: Literal["tool_called"] = "tool_called"
    id: str
    name: str
    input: JsonValue


class ToolReturned(Frozen):
    """A tool gave its result back."""

    type: Literal["tool_returned"] = "tool_returned"
    id: str
    text: str
    is_error: bool = False


class ModelRetried(Frozen):
    """The provider refused a call, and the CLI waits to make it again."""

    type: Literal["model_retried"] = "model_retried"
    attempt: int
    status: int | None
    error: str
    delay_seconds: float


class ModelAnswered(Frozen):
    """The model has answered one call, and what that took."""

    type: Literal["model_answered"] = "model_answered"
    usage: Usage
    by_subagent: bool = False


class Warned(Frozen):
    """The service tells the reader something about this run."""

    type: Literal["warned"] = "warned"
    text: str


class Ended(Frozen):
    """The last event of a run."""

    type: Literal["ended"] = "ended"
    status: Literal["completed", "failed", "timeout", "error"]
    error: str | None = None
    cost_usd: float | None = None


Event = Annotated[
    Started
    | TextDelta
    | ThinkingDelta
    | Said
    | Thought
    | ToolCalled
    | ToolReturned
    | ModelRetried
    | ModelAnswered
    | Warned
    | Ended,
    Field(discriminator="type"),
]

Sink = Callable[[Event], None]
"""Takes one event; must not block and must not raise."""

_sinks: ContextVar[tuple[Sink, ...]] = ContextVar("sinks", default=())


@contextmanager
def bound(sink: Sink) -> Iterator[None]:
    """While this is open, `sink` gets every event of the runs started in here."""
    token = _sinks.set((*_sinks.get(), sink))
    try:
        yield
    finally:
        _sinks.reset(token)


def emit(event: Event) -> None:
    """Hand `event` to every sink that is bound."""
    for sink in _sinks.get():
        sink(event)
