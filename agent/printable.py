"""Makes any text safe to show: in a terminal, on one line of a log, in a Markdown artifact."""

from __future__ import annotations

import re
import unicodedata

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
MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~&:@$^=\"'])")
# What links, pictures and HTML begin with; and what would take back the backslash in front of it.
ACTIVE = re.compile(r"([\\\[<])")
FENCE = re.compile(r"\s*(```|~~~)")


def printable(text: str, *, one_line: bool = False) -> str:
    """The text without terminal escapes, control, invisible and direction characters.

    With `one_line`, the ends of lines become visible marks, so that nobody writes a second line into a log.
    """
    text = OTHER_LINE_ENDS.sub("\n", ESCAPE_SEQUENCE.sub("", text).replace("\r\n", "\n"))
    if one_line:
        text = text.replace("\n", LINE_END).replace("\t", " ")
    return SUSPECT.sub(lambda found: found[0] if _is_shown(found[0]) else "", text)


def quoted(text: str, language: str = "text") -> str:
    """The text as a Markdown code block that it cannot end, links and pictures included as they are written."""
    text = printable(text).strip("\n")
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"


def escaped(text: str) -> str:
    """The text as plain words within Markdown, on one line: no markup in it has any effect."""
    return MARKDOWN.sub(r"\\\1", printable(text, one_line=True))


def inert(text: str) -> str:
    """The text as Markdown that may format, but neither links, nor loads, nor brings HTML.

    Its code blocks are fenced anew, so that what is code and what is not is never the text's own say.
    """
    parts, code, in_code = [], "", False
    for line in printable(text).split("\n"):
        if FENCE.match(line):
            parts += ["", quoted(code), ""] if in_code else []
            code, in_code = "", not in_code
        elif in_code:
            code += f"{line}\n"
        else:
            parts.append(ACTIVE.sub(r"\\\1", line))
    return "\n".join([*parts, "", quoted(code)] if in_code else parts)


def _is_shown(character: str) -> bool:
    return character in JOINERS or unicodedata.category(character) not in HIDDEN
