"""The events of a run and the sink that receives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from agent.domain.result import Usage
from agent.domain.values import Frozen


class Started(Frozen):
    """The CLI has accepted the prompt."""

    type: Literal["started"] = "started"
    session_id: str
    model: str
    agents: list[str] = []


class TextDelta(Frozen):
    """A piece of the agent's text; the whole block follows as `Said`."""

    type: Literal["text_delta"] = "text_delta"
    text: str


class ThinkingDelta(Frozen):
    """A piece of the model's thinking; the whole block follows as `Thought`."""

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
    """A tool returned its result."""

    type: Literal["tool_returned"] = "tool_returned"
    id: str
    text: str
    is_error: bool = False


class ModelRetried(Frozen):
    """The provider refused a call, and the CLI waits before it tries again."""

    type: Literal["model_retried"] = "model_retried"
    attempt: int
    status: int | None
    error: str
    delay_seconds: float


class ModelAnswered(Frozen):
    """The model has answered one call; `usage` has its tokens."""

    type: Literal["model_answered"] = "model_answered"
    usage: Usage
    by_subagent: bool = False


class Warned(Frozen):
    """A warning of the service about this run."""

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
    """Pass every event of the runs started in here to `sink` while this is open."""
    token = _sinks.set((*_sinks.get(), sink))
    try:
        yield
    finally:
        _sinks.reset(token)


def emit(event: Event) -> None:
    """Pass `event` to every sink that is bound."""
    for sink in _sinks.get():
        sink(event)
