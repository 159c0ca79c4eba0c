"""Where the events of a run go: its log in Prefect, and the journal."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from agent.events import (
    Event,
    ModelRetried,
    Said,
    Sink,
    Started,
    TextDelta,
    ThinkingDelta,
    Thought,
    ToolCalled,
    ToolReturned,
    Warned,
)
from agent.printable import printable
from store.journal import Journal

_LINE_CHARACTERS = 300


def to_log(logger: logging.Logger | logging.LoggerAdapter[Any]) -> Sink:
    """A sink that writes each step as one line of the run's log."""

    def sink(event: Event) -> None:
        line = describe(event)
        if line is not None:
            logger.info("%s", printable(line, one_line=True))

    return sink


def to_journal(journal: Journal, run_id: UUID) -> Sink:
    """A sink that keeps each event; deltas are left out, the whole text follows them."""

    def sink(event: Event) -> None:
        if not isinstance(event, TextDelta | ThinkingDelta):
            journal.append(run_id, event.type, event.model_dump_json())

    return sink


def describe(event: Event) -> str | None:
    """The event in one line for a person, or None for one that says nothing to a person."""
    match event:
        case Started():
            return f"● started on {event.model}"
        case Said():
            return _cut(event.text)
        case Thought():
            return f"… {_cut(event.text)}"
        case ToolCalled():
            return f"→ {event.name} {_cut(_arguments(event.input))}"
        case ToolReturned():
            return f"{'✗' if event.is_error else '←'} {_cut(event.text)}"
        case ModelRetried():
            status = f"{event.status} " if event.status else ""
            return f"! the model's API: {status}{event.error}; attempt {event.attempt} in {event.delay_seconds:.1f} s"
        case Warned():
            return f"! {event.text}"
    return None


def _arguments(value: object) -> str:
    """A tool's input: the one string in it, else all of it as JSON."""
    if isinstance(value, Mapping):
        for key in ("command", "file_path", "pattern", "url", "query", "prompt", "description"):
            if isinstance(value.get(key), str):
                return str(value[key])
    return json.dumps(value, ensure_ascii=False)


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LINE_CHARACTERS else f"{line[:_LINE_CHARACTERS]}…"
