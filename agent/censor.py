"""Between an agent and whoever listens: takes secrets out of what a run says and gives."""

from __future__ import annotations

import json

from agent.events import Event, Said, Sink, TextDelta, ThinkingDelta, Thought
from agent.models import Invocation
from agent.redaction import Redactor


class Censor:
    """A sink that passes events on without their secrets, also those that come in pieces."""

    def __init__(self, redactor: Redactor, sink: Sink) -> None:
        self._redactor = redactor
        self._sink = sink
        self._text = redactor.stream()
        self._thinking = redactor.stream()

    def __call__(self, event: Event) -> None:
        match event:
            case TextDelta():
                self._pass_on(TextDelta(text=self._text.feed(event.text)))
            case ThinkingDelta():
                self._pass_on(ThinkingDelta(text=self._thinking.feed(event.text)))
            case _:
                self._finish(event)
                self._sink(self._redacted(event))

    def _finish(self, event: Event) -> None:
        """The whole block follows its pieces: what was held back of them comes before it."""
        if isinstance(event, Said):
            self._pass_on(TextDelta(text=self._text.flush()))
            self._text = self._redactor.stream()
        if isinstance(event, Thought):
            self._pass_on(ThinkingDelta(text=self._thinking.flush()))
            self._thinking = self._redactor.stream()

    def _pass_on(self, delta: TextDelta | ThinkingDelta) -> None:
        if delta.text:
            self._sink(delta)

    def _redacted(self, event: Event) -> Event:
        given = event.model_dump(mode="json")
        redacted = self._redactor.redact_json(given)
        return event if redacted == given else type(event).model_validate(redacted)


def censored(redactor: Redactor, invocation: Invocation) -> Invocation:
    """The invocation without secrets; its result message is left as printed where there are none."""
    changes = {"printed": redactor.redact(invocation.printed), "stderr": redactor.redact(invocation.stderr)}
    if invocation.result_line is not None:
        changes["result_line"] = _censored_json(redactor, invocation.result_line)
    return invocation.model_copy(update=changes)


def _censored_json(redactor: Redactor, line: str) -> str:
    given = json.loads(line)
    redacted = redactor.redact_json(given)
    return line if redacted == given else json.dumps(redacted, ensure_ascii=False)
