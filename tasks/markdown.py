from __future__ import annotations

import re

from agent.system.text import printable, shorten

MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~&:@$^=\"'])")
# What links, pictures and HTML begin with; and what would take back the backslash in front of it.
ACTIVE = re.compile(r"([\\\[<])")
FENCE = re.compile(r"\s*(```|~~~)")


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


_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~&])")
_CELL_CHARACTERS = 300


def plain(text: str) -> str:
    """Text on one line that is nothing but text in Markdown."""
    return _SPECIAL.sub(r"\\\1", shorten(text, _CELL_CHARACTERS)).replace("\\<", "&lt;").replace("\\&", "&amp;")
