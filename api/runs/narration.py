"""What an agent says and does, as the pieces of one text."""

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
    """Some more of what is said, or a line about what is done."""

    kind: Kind
    text: str


class Narration:
    """Turns a run's events into pieces, such that those of one kind make a text when they are joined.

    A blank line stands where a tool was at work between two texts, and where the provider broke off an attempt: what
    was said of it has been sent, and the next attempt says all of it again.
    """

    def __init__(self) -> None:
        self.last_said = ""
        self._in_line = False
        self._text = _Told("text")
        self._thinking = _Told("thinking")

    def read(self, event: Event) -> list[Piece]:
        """The pieces that an event adds."""
        match event:
            case TextDelta():
                return self._text.some(event.text)
            case ThinkingDelta():
                return self._thought(self._thinking.some(event.text))
            case Said():
                self.last_said = event.text
                return self._text.whole(event.text)
            case Thought():
                return self._thought(self._thinking.whole(event.text))
            case ToolCalled() | ToolReturned() | ModelRetried() | Warned():
                self._text.pause()
                self._thinking.pause()
                line_break, self._in_line = "\n" * self._in_line, False
                return [Piece("step", f"{line_break}{describe(event)}\n")]
        return []

    def rest(self, text: str) -> list[Piece]:
        """What is missing of an answer that has not been said, or not to its end."""
        answer, said = text.strip(), self.last_said.strip()
        if not answer or (said and answer.endswith(said)):
            return []
        self._text.pause()
        return self._text.whole(text)

    def _thought(self, pieces: list[Piece]) -> list[Piece]:
        if pieces:
            self._in_line = not pieces[-1].text.endswith("\n")
        return pieces


class _Told:
    """What has been told of one kind of text; each block of it comes in pieces, and then as a whole."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._block: list[str] = []
        self._begun = False
        self._paused = False

    def some(self, text: str) -> list[Piece]:
        if not text:
            return []
        gap = PARAGRAPH if self._paused and self._begun else ""
        self._block.append(text)
        self._begun = True
        self._paused = False
        return [Piece(self._kind, gap + text)]

    def whole(self, text: str) -> list[Piece]:
        """The block is over: tell what its pieces have left out."""
        told = "".join(self._block)
        if text.startswith(told):
            pieces = self.some(text[len(told) :])
        elif told.endswith(text):
            pieces = []
        else:
            self._paused = True
            pieces = self.some(text)
        self._block.clear()
        return pieces

    def pause(self) -> None:
        """Something else happens before the next text."""
        self._paused = True
        self._block.clear()
