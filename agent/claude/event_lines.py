"""One line of text for each event, for logs and terminals."""

from __future__ import annotations

import json
from collections.abc import Mapping

from agent.domain.events import Event, ModelRetried, Said, Started, Thought, ToolCalled, ToolReturned, Warned

_LINE_CHARACTERS = 300


def describe(event: Event) -> str | None:
    """Return the event as one line; None for an event that a person does not need, e.g. a delta."""
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
    """Return the string of a tool's input that names its object, else all of it as JSON."""
    if isinstance(value, Mapping):
        for key in ("command", "file_path", "pattern", "url", "query", "prompt", "description"):
            if isinstance(value.get(key), str):
                return str(value[key])
    return json.dumps(value, ensure_ascii=False)


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LINE_CHARACTERS else f"{line[:_LINE_CHARACTERS]}…"
