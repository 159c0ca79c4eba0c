"""Escapes text for Markdown artifacts: quoted, inert, table cells."""

from __future__ import annotations

import re

from agent.system.text import printable, shorten

MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~&:@$^=\"'])")
# What links, pictures and HTML begin with; and what would take back the backslash in front of it.
ACTIVE = re.compile(r"([\\\[<])")
FENCE = re.compile(r"\s*(```|~~~)")


def quoted(text: str, language: str = "text") -> str:
    """Return the text as a code block that the text itself cannot end."""
    text = printable(text).strip("\n")
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"


def escaped(text: str, limit: int | None = None) -> str:
    """Return the text on one line, with every character escaped that Markdown gives a meaning, also in table cells.

    Text past `limit` characters is cut first.
    """
    text = printable(text, one_line=True)
    return MARKDOWN.sub(r"\\\1", text if limit is None else shorten(text, limit))


def inert(text: str) -> str:
    """Return the text as Markdown that may format, but cannot link, load pictures, or contain HTML."""
    # code blocks are fenced anew: a fence of the text's own could hide where the code ends
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
