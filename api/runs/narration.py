"""Renders events of a run as text."""

from __future__ import annotations

from typing import Literal, NamedTuple

from agent.claude.event_lines import describe
from agent.domain.events import (
    Event,
    ModelRetried,
    Said,
    TextDelta,
    ThinkingDelta,
    Thought,
    ToolCalled,
    ToolReturned,
    Warned,
)

Kind = Literal["text", "thinking", "step"]

PARAGRAPH = "\n\n"


class Piece(NamedTuple):
    """Some text of the agent, or a line about a tool call."""

    kind: Kind
    text: str


class Narration:
    """Turns the events of one run into pieces; those of one kind make a text when they are joined.

    A blank line separates two texts with a tool call between them. It also follows text of an attempt that the provider
    broke off: that text has been sent, and the next attempt repeats it.
    """

    def __init__(self) -> None:
        self._last_message = ""
        self._in_line = False
        self._text = _TextOfKind("text")
        self._thinking = _TextOfKind("thinking")

    def add(self, event: Event) -> list[Piece]:
        """Return the pieces that an event adds."""
        match event:
            case TextDelta():
                return self._text.add(event.text)
            case ThinkingDelta():
                return self._track_line(self._thinking.add(event.text))
            case Said():
                self._last_message = event.text
                return self._text.end_block(event.text)
            case Thought():
                return self._track_line(self._thinking.end_block(event.text))
            case ToolCalled() | ToolReturned() | ModelRetried() | Warned():
                self._text.interrupt()
                self._thinking.interrupt()
                line_break, self._in_line = "\n" * self._in_line, False
                return [Piece("step", f"{line_break}{describe(event)}\n")]
        return []

    def add_answer(self, text: str) -> list[Piece]:
        """Return the pieces of a final answer that no event has said, or not to its end."""
        answer, said = text.strip(), self._last_message.strip()
        if not answer or (said and answer.endswith(said)):
            return []
        self._text.interrupt()
        return self._text.end_block(text)

    def _track_line(self, pieces: list[Piece]) -> list[Piece]:
        if pieces:
            self._in_line = not pieces[-1].text.endswith("\n")
        return pieces


class _TextOfKind:
    """The text of one kind so far; each block of it comes as deltas, and then as a whole."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._block: list[str] = []
        self._has_text = False
        self._interrupted = False

    def add(self, delta: str) -> list[Piece]:
        if not delta:
            return []
        gap = PARAGRAPH if self._interrupted and self._has_text else ""
        self._block.append(delta)
        self._has_text = True
        self._interrupted = False
        return [Piece(self._kind, gap + delta)]

    def end_block(self, whole: str) -> list[Piece]:
        """Return what the deltas of a block have left out of the `whole`."""
        sent = "".join(self._block)
        if whole.startswith(sent):
            pieces = self.add(whole[len(sent) :])
        elif sent.endswith(whole):
            pieces = []
        else:
            self._interrupted = True
            pieces = self.add(whole)
        self._block.clear()
        return pieces

    def interrupt(self) -> None:
        """Record that something else happens before the next text."""
        self._interrupted = True
        self._block.clear()
