"""Redacts the events and the result of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence

from agent.domain.events import Event, Said, TextDelta, ThinkingDelta, Thought
from agent.domain.result import Invocation, WorkspaceReport
from agent.redaction.redactor import Redactor


class OutputRedactor:
    """Passes the events of one run on without their secrets, also those that come in pieces."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._text = redactor.stream()
        self._thinking = redactor.stream()

    def pass_on(self, events: Sequence[Event]) -> list[Event]:
        """Return what may be passed on of `events`: a piece that could begin a secret waits for the next."""
        return [passed for event in events for passed in self._pass_on(event)]

    def _pass_on(self, event: Event) -> list[Event]:
        match event:
            case TextDelta():
                return _text(self._text.feed(event.text))
            case ThinkingDelta():
                return _thinking(self._thinking.feed(event.text))
        return [*self._rest_before(event), self._redacted(event)]

    def _rest_before(self, event: Event) -> list[Event]:
        """Return what was held back of a block's pieces: the whole block follows it."""
        match event:
            case Said():
                rest, self._text = self._text.flush(), self._redactor.stream()
                return _text(rest)
            case Thought():
                rest, self._thinking = self._thinking.flush(), self._redactor.stream()
                return _thinking(rest)
        return []

    def _redacted(self, event: Event) -> Event:
        given = event.model_dump(mode="json")
        redacted = self._redactor.redact_json(given)
        return event if redacted == given else type(event).model_validate(redacted)


def _text(text: str) -> list[Event]:
    return [TextDelta(text=text)] if text else []


def _thinking(text: str) -> list[Event]:
    return [ThinkingDelta(text=text)] if text else []


def redact_invocation(redactor: Redactor, invocation: Invocation) -> Invocation:
    """Return the invocation without secrets; its result message is left as printed where there are none."""
    texts = {name: getattr(invocation, name) for name in ("printed", "stderr", "violation", "hook_reason")}
    changes = {name: redactor.redact(text) for name, text in texts.items() if text}
    if invocation.result_line is not None:
        changes["result_line"] = _censored_json(redactor, invocation.result_line)
    return invocation.model_copy(update=changes)


def _censored_json(redactor: Redactor, line: str) -> str:
    given = json.loads(line)
    redacted = redactor.redact_json(given)
    return line if redacted == given else json.dumps(redacted, ensure_ascii=False)


def redact_report(redactor: Redactor, report: WorkspaceReport) -> WorkspaceReport:
    """Return what an agent left in git, without secrets in its own words: subjects, names, lines."""
    own = {"commits", "files_changed", "diffstat", "diff", "notes", "stale_reason"}
    given = report.model_dump(mode="json", include=own)
    return report.model_validate(report.model_dump() | redactor.redact_json(given))
