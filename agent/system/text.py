"""Makes text safe for terminals and log lines: control characters, one line, length."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

ESCAPE_SEQUENCE = re.compile(
    r"""
    \x1b\[ [0-?]* [ -/]* [@-~]?              # colours, cursor: ESC [ ... letter
  | \x1b[\]PX^_] [^\x07\x1b\x9c\n]* (?:\x07|\x1b\\|\x9c)?  # titles, links, device strings
  | \x1b [ -/]* [0-~]?                       # all others
  | \x9b [0-?]* [ -/]* [@-~]?
    """,
    re.VERBOSE,
)
# Cc: control; Cf: invisible, or turns the direction of writing; Cs: half a character; Zl, Zp: other line ends.
HIDDEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
JOINERS = frozenset("\u200c\u200d")
"""Invisible, but scripts and emoji are written with them."""

OTHER_LINE_ENDS = re.compile(r"[\r\v\f\x85\u2028\u2029]")
LINE_END = "\u23ce"
SUSPECT = re.compile(r"[^\x20-\x7e\n\t\xa1-\xac\xae-\u024f]")


def printable(text: str, *, one_line: bool = False) -> str:
    """Return the text without terminal escapes, control, invisible and direction characters.

    With `one_line`, the ends of lines become visible marks, so that no text writes a second line into a log.
    """
    text = OTHER_LINE_ENDS.sub("\n", ESCAPE_SEQUENCE.sub("", text).replace("\r\n", "\n"))
    if one_line:
        text = text.replace("\n", LINE_END).replace("\t", " ")
    return SUSPECT.sub(lambda found: found[0] if _is_shown(found[0]) else "", text)


def _is_shown(character: str) -> bool:
    return character in JOINERS or unicodedata.category(character) not in HIDDEN


CAUSE_CHARACTERS = 200
"""The length of an error's cause in one line, as the contract of `/v1` gives it."""


def shorten(text: str, limit: int, keep: Literal["start", "end"] = "start") -> str:
    """Return the text on one line of at most `limit` characters, without what cannot be printed."""
    # blanks fold: a few times the limit is enough to look at, whatever the length of the text
    part = text[: 4 * limit] if keep == "start" else text[-4 * limit :]
    line = " ".join("".join(character if character.isprintable() else " " for character in part).split())
    if len(line) <= limit and len(part) == len(text):
        return line
    return f"{line[: limit - 1]}…" if keep == "start" else f"…{line[1 - limit :]}"


def shorten_cause(text: str) -> str:
    """Return the end of an error's text, where its cause stands, on one line."""
    return shorten(text, CAUSE_CHARACTERS, keep="end")
