"""Rewrites regular expressions as JavaScript's, in Unicode mode, which is how the CLI compiles them.

JSON Schemas come from many languages. What means the same in JavaScript is rewritten; the rest is refused.
"""

from __future__ import annotations

import re

from agent.json_schema.errors import SchemaRefused

_SYNTAX = frozenset("^$\\.*+?()[]{}|/")
_CLASS_ESCAPES = frozenset("dDsSwW")
_CONTROL_ESCAPES = frozenset("fnrtv")
_CATEGORY = r"(?:L[ulmto]?|M[nce]?|N[dlo]?|P[cdseifo]?|S[mcko]?|Z[slp]?|C[cfosn]?|Letter|Number|Punctuation|Symbol)"
_EMOJI = r"Emoji(?:_Component|_Modifier|_Modifier_Base|_Presentation)?|Extended_Pictographic|Regional_Indicator"
_BINARY = rf"(?:Alphabetic|ASCII|{_EMOJI}|Lowercase|Uppercase|White_Space)"
_SCRIPT = r"(?:sc|scx|Script)=(?:Latin|Greek|Cyrillic|Han|Hiragana|Katakana|Hebrew|Arabic|Hangul|Thai)"
_PROPERTY = re.compile(rf"[pP]\{{(?:{_CATEGORY}|{_BINARY}|{_SCRIPT})\}}")
_CODE = re.compile(r"x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|u\{(?:10[\da-fA-F]{4}|[\da-fA-F]{1,5})\}|c[a-zA-Z]|0(?![0-9])")
_QUANTIFIER = re.compile(r"[*+?]|\{(\d{1,9})(?:(,)(\d{0,9}))?\}")
_GROUP = re.compile(r"\((?:\?(?::|=|!|<=|<!|P?<([A-Za-z_$][\w$]*)>))?", re.ASCII)
_NAMED_REFERENCE = re.compile(r"k<([A-Za-z_$][\w$]*)>", re.ASCII)
_PYTHON_ANCHORS = {"A": "^", "Z": "$", "z": "$"}


def to_javascript(pattern: str, keyword: str = "pattern", path: str = "") -> str:
    """Return the pattern in JavaScript's Unicode mode. Raises SchemaRefused for one that has no equal there."""
    return _Rewriter(pattern, keyword, path).rewrite()


class _Rewriter:
    """Reads one pattern from left to right; made for each."""

    def __init__(self, pattern: str, keyword: str, path: str) -> None:
        self._pattern = pattern
        self._keyword = keyword
        self._path = path
        self._at = 0
        self._groups: list[str] = []
        self._names: set[str] = set()
        self._captures = 0
        self._references: list[int | str] = []

    def rewrite(self) -> str:
        written = []
        repeatable = False
        while self._at < len(self._pattern):
            piece, repeatable = self._piece(repeatable)
            written.append(piece)
        if self._groups:
            raise self._refused("a group is not closed")
        for reference in self._references:
            if reference not in self._names if isinstance(reference, str) else reference > self._captures:
                raise self._refused(f"there is no group {reference}")
        return "".join(written)

    def _piece(self, repeatable: bool) -> tuple[str, bool]:
        """Return the next piece, and whether it may be repeated."""
        one = self._pattern[self._at]
        if quantifier := _QUANTIFIER.match(self._pattern, self._at):
            return self._quantifier(quantifier, repeatable), False
        match one:
            case "\\":
                return self._escape()
            case "[":
                return self._class(), True
            case "(":
                return self._open(), False
            case ")":
                return self._close()
        self._at += 1
        if one in "]{}":
            return f"\\{one}", True
        return one, one not in "^$|"

    def _quantifier(self, found: re.Match[str], repeatable: bool) -> str:
        if not repeatable:
            raise self._refused(f"nothing to repeat before {found[0]!r}")
        if found[3] and int(found[1]) > int(found[3]):
            raise self._refused(f"numbers out of order in {found[0]!r}")
        self._at = found.end()
        lazy = self._pattern.startswith("?", self._at)
        self._at += lazy
        return found[0] + "?" * lazy

    def _open(self) -> str:
        found = _GROUP.match(self._pattern, self._at)
        assert found is not None
        if found[0] == "(" and self._pattern.startswith("(?", self._at):
            if reference := re.compile(r"\(\?P=(\w+)\)", re.ASCII).match(self._pattern, self._at):
                self._at = reference.end()
                self._references.append(reference[1])
                return f"\\k<{reference[1]}>"
            raise self._refused(f"JavaScript has no {self._pattern[self._at : self._at + 4]!r}")
        self._at = found.end()
        self._groups.append(found[0])
        name = found[1]
        if name is not None:
            if name in self._names:
                raise self._refused(f"two groups are named {name!r}")
            self._names.add(name)
        self._captures += name is not None or found[0] == "("
        return f"(?<{name}>" if name is not None else found[0]

    def _close(self) -> tuple[str, bool]:
        if not self._groups:
            raise self._refused("unmatched ')'")
        self._at += 1
        return ")", self._groups.pop() not in ("(?=", "(?!", "(?<=", "(?<!")

    def _escape(self) -> tuple[str, bool]:
        """Return an escape outside of a class, and whether it may be repeated."""
        rest = self._pattern[self._at + 1 : self._at + 40]
        if rest[:1] in ("b", "B"):
            self._at += 2
            return f"\\{rest[0]}", False
        if rest[:1] in _PYTHON_ANCHORS:
            self._at += 2
            return _PYTHON_ANCHORS[rest[0]], False
        if named := _NAMED_REFERENCE.match(rest):
            self._at += 1 + named.end()
            self._references.append(named[1])
            return f"\\{named[0]}", True
        if number := re.match(r"[1-9][0-9]{0,3}", rest):
            self._at += 1 + number.end()
            self._references.append(int(number[0]))
            return f"\\{number[0]}", True
        return self._character_escape(), True

    def _character_escape(self, *, in_class: bool = False) -> str:
        """Return an escape that stands for characters."""
        rest = self._pattern[self._at + 1 : self._at + 40]
        for form in (_PROPERTY, _CODE):
            if found := form.match(rest):
                self._at += 1 + found.end()
                return f"\\{found[0]}"
        one = rest[:1]
        self._at += 2
        if one in _CLASS_ESCAPES or one in _CONTROL_ESCAPES or (in_class and one == "b"):
            return f"\\{one}"
        if one in _SYNTAX or (in_class and one == "-"):
            return f"\\{one}"
        if one and not (one.isascii() and one.isalnum()):
            return one  # other languages let any sign be escaped
        raise self._refused(f"JavaScript has no escape \\{one}" if one else "a \\ at the end")

    def _class(self) -> str:
        """Return a class in brackets."""
        negated = self._pattern.startswith("[^", self._at)
        self._at += 1 + negated
        items: list[str] = []
        while not self._pattern.startswith("]", self._at):
            if self._at >= len(self._pattern):
                raise self._refused("a class is not closed")
            first = self._class_item()
            if self._pattern.startswith("-", self._at) and not self._pattern.startswith("-]", self._at):
                self._at += 1
                if self._at >= len(self._pattern):
                    raise self._refused("a class is not closed")
                items.append(self._range(first, self._class_item()))
            else:
                items.append(first)
        self._at += 1
        return f"[{'^' * negated}{''.join(items)}]"

    def _class_item(self) -> str:
        one = self._pattern[self._at]
        if one == "\\":
            return self._character_escape(in_class=True)
        self._at += 1
        return f"\\{one}" if one in "-[" else one

    def _range(self, first: str, last: str) -> str:
        if any(_is_set(end) for end in (first, last)):
            return f"{first}\\-{last}"
        if _code_of(first) > _code_of(last):
            raise self._refused(f"the range {first}-{last} is out of order")
        return f"{first}-{last}"

    def _refused(self, reason: str) -> SchemaRefused:
        return SchemaRefused(self._keyword, f"{self._pattern[:60]!r} cannot be used: {reason}", self._path)


def _is_set(item: str) -> bool:
    return item[0] == "\\" and item[1] in "dDsSwWpP"


def _code_of(item: str) -> int:
    """Return the code of the one character that an item of a class stands for."""
    if item[0] != "\\":
        return ord(item)
    kind, rest = item[1], item[2:].strip("{}")
    match kind:
        case "x" | "u" if rest:
            return int(rest, 16)
        case "c" if rest:
            return ord(rest.upper()) - 64
    return {"b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "0": 0}.get(kind, ord(kind))
