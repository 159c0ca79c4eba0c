"""Replaces secrets in text and in streams of text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from agent.redaction.known_values import SecretValues, ValueStream
from agent.redaction.patterns import PRIVATE_KEY, PRIVATE_KEY_BODY, PRIVATE_KEY_END, PRIVATE_KEY_LENGTH, SHAPES, Shape

USER_INFO = re.compile(r"(?<=://)[^/\s'\"]+@")
SECRET_PARAMETER = re.compile(r"(?i)([?&][\w.-]*(?:token|key|secret|password|signature|sig)[\w.-]*=)[^&\s'\"]+")

BEGINS = sorted({begin for shape in SHAPES for begin in shape.begins})
SHORTEST = [begin for begin in BEGINS if not any(begin.startswith(other) for other in BEGINS if other != begin)]
BEGIN = re.compile("|".join(re.escape(begin) for begin in SHORTEST))
SHAPES_AT = {
    short: [shape for shape in SHAPES if any(begin.startswith(short) for begin in shape.begins)] for short in SHORTEST
}
UNFINISHED = frozenset(begin[:length] for begin in BEGINS for length in range(1, len(begin)))
LONGEST_BEGIN = max(map(len, BEGINS))
END_MARK_LENGTH = 128
PIECE_CHARACTERS = 65_536
"""A regular expression keeps every other thread waiting, the event loop's too, until it is through its text."""


def mask_url_credentials(text: str) -> str:
    """Return the text with `***` for whatever stands between `://` and `@`, and for secrets in a query."""
    return SECRET_PARAMETER.sub(r"\1***", USER_INFO.sub("***@", text))


class Redactor:
    """Made once from all the secrets a host knows; takes them and whatever looks like one out of any text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._values = SecretValues(secrets)

    def redact(self, text: str) -> str:
        """Return the text with `[redacted]` for known secrets, and with their kind for others."""
        stream = self.stream()
        pieces = (text[at : at + PIECE_CHARACTERS] for at in range(0, len(text), PIECE_CHARACTERS))
        return "".join([*map(stream.feed, pieces), stream.flush()])

    def redact_json(self, value: Any) -> Any:
        """Redact every string of a JSON value, its keys too."""
        match value:
            case str():
                return self.redact(value)
            case list():
                return [self.redact_json(item) for item in value]
            case dict():
                return {self.redact_json(key): self.redact_json(item) for key, item in value.items()}
            case _:
                return value

    def stream(self) -> StreamRedactor:
        """Begin a text that comes in pieces."""
        return StreamRedactor(self._values.stream())


class StreamRedactor:
    """One text: however it is cut into pieces, what comes out is what `redact` makes of the whole.

    It holds back only what may still become a secret: of ordinary text, hardly a word.
    """

    def __init__(self, values: ValueStream) -> None:
        self._values = values
        self._shapes = ShapeStream()

    def feed(self, chunk: str) -> str:
        """Return what is certain by now."""
        return self._shapes.feed(self._values.feed(chunk))

    def flush(self) -> str:
        """Return the rest of a text that is over."""
        return self._shapes.feed(self._values.flush()) + self._shapes.flush()


class ShapeStream:
    """Takes out what looks like a secret."""

    def __init__(self) -> None:
        self._text = ""  # one character that is out already, and all that is not
        self._next = 0
        self._swallowing: Shape | None = None
        self._left = 0

    def feed(self, chunk: str) -> str:
        """Return what is certain by now."""
        self._text += chunk
        return self._advance(ended=False)

    def flush(self) -> str:
        """Return the rest of a text that is over."""
        return self._advance(ended=True)

    def _advance(self, *, ended: bool) -> str:
        out: list[str] = []
        while self._swallow(ended) and self._scan(out, ended):
            pass
        cut = max(0, self._next - 1)
        self._text, self._next = self._text[cut:], self._next - cut
        return "".join(out)

    def _scan(self, out: list[str], ended: bool) -> bool:
        """Show what is no secret, up to the next one; False if all is shown, or has to wait."""
        text, at = self._text, self._next
        while (begin := BEGIN.search(text, at)) is not None:
            at = begin.start()
            left = len(text) - at
            if not ended and left < LONGEST_BEGIN and text[at:] in UNFINISHED:
                break
            for shape in SHAPES_AT[begin[0]]:
                whole = shape.whole.match(text, at)
                if whole is not None and shape.judge is not None:
                    if shape.grows and not ended and whole.end() == len(text) and left <= shape.reach:
                        self._show(at, out)  # the judgement of the whole value may be another
                        return False
                    whole = whole if shape.judge(whole[1], whole[2]) else None
                if whole is not None:
                    self._hide(shape, whole, out)
                    return True
                if not ended and left <= shape.reach and shape.partial.match(text, at):
                    self._show(at, out)
                    return False
            at += 1
        self._show(len(text) if ended else self._unfinished(), out)
        return False

    def _hide(self, shape: Shape, whole: re.Match[str], out: list[str]) -> None:
        self._show(whole.end(1), out)
        out.append(f"[redacted:{shape.kind}]")
        self._next = whole.end()
        self._swallowing, self._left = shape, PRIVATE_KEY_LENGTH

    def _show(self, end: int, out: list[str]) -> None:
        out.append(self._text[self._next : end])
        self._next = max(self._next, end)

    def _unfinished(self) -> int:
        """Return where something begins at the end that may be the beginning of a beginning."""
        text = self._text
        for at in range(max(self._next, len(text) - LONGEST_BEGIN), len(text)):
            if text[at:] in UNFINISHED:
                return at
        return len(text)

    def _swallow(self, ended: bool) -> bool:
        """Leave out the rest of a secret; False while it may go on."""
        shape = self._swallowing
        if shape is PRIVATE_KEY:
            return self._swallow_block(ended)
        if shape is not None and shape.tail is not None:
            rest = shape.tail.match(self._text, self._next)
            self._next = rest.end() if rest else self._next
            if self._next == len(self._text) and not ended:
                return False
        self._swallowing = None
        return True

    def _swallow_block(self, ended: bool) -> bool:
        """Leave out a private key to its end mark, or as far as it may still be one."""
        stop = min(self._next + self._left, len(self._text))
        body = PRIVATE_KEY_BODY.match(self._text, self._next, stop)
        stop = body.end() if body else self._next
        end = PRIVATE_KEY_END.search(self._text, self._next, stop)
        if end is None and stop == len(self._text) and stop < self._next + self._left and not ended:
            keep = max(self._next, stop - END_MARK_LENGTH)
            self._left -= keep - self._next
            self._next = keep
            return False
        self._next = end.end() if end else stop
        self._swallowing = None
        return True
