"""Finds known secret values in a stream, in plain, partial and encoded form."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus

from agent.redaction.secret_values import SHORTEST_SECRET, is_secret_name, secret_parts, url_passwords
from agent.settings import AgentSettings

MARK = "[redacted]"

SHORTEST = 8
"""A shorter value is taken out only where it stands alone, and only if it is no word and no number."""

RUN = 16
"""So many characters in a row of a token give it away: half of one is taken out as well."""

TOKEN = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[\w+/=.~-]{16,}", re.ASCII)

LONG_WORD = re.compile(r"[!-~]{16,}")
"""No form of a token has a blank in it."""


class SecretValues:
    """The values to look for, prepared once and used for many texts."""

    def __init__(self, secrets: Iterable[str]) -> None:
        values = {value for secret in secrets for value in _values(secret)}
        self.shorts = sorted(_short_forms(values))
        values = {value for value in values if len(value) >= SHORTEST}
        tokens = {form for value in values if _is_token(value) for form in _forms(value) if len(form) >= RUN}
        wholes = {form for value in values if not _is_token(value) for form in _forms(value)}
        self.grams = frozenset(form[at : at + RUN] for form in tokens for at in range(len(form) - RUN + 1))
        # No form holds a NUL: a piece of this is a piece of one of them.
        self.tokens = "\0".join(sorted(tokens))
        self.wholes = sorted(wholes)

    def stream(self) -> ValueStream:
        """Begin a new text."""
        return ValueStream(self)


class ValueStream:
    """One text: whatever the pieces it comes in, what comes out is the same."""

    def __init__(self, values: SecretValues) -> None:
        self._values = values
        self._raw = ""
        self._decided = 0
        self._inside = False
        self._context = max([RUN, *map(len, values.wholes)]) + 1  # one more: what stands before a short secret

    def feed(self, chunk: str) -> str:
        """Return the text as far as it is certain; what may be the beginning of a secret waits."""
        return self._advance(chunk, ended=False)

    def flush(self) -> str:
        """Return the rest of a text that is over."""
        return self._advance("", ended=True)

    def _advance(self, chunk: str, *, ended: bool) -> str:
        if not self._values.tokens and not self._values.wholes and not self._values.shorts:
            return chunk
        self._raw += chunk
        safe = len(self._raw) if ended else self._safe()
        out: list[str] = []
        for start, end in _merged([*self._found(), *self._found_short(ended)]):
            self._show(start, safe, out)
            self._hide(start, end, safe, out)
        self._show(len(self._raw), safe, out)
        cut = max(0, self._decided - self._context)
        self._raw, self._decided = self._raw[cut:], self._decided - cut
        return "".join(out)

    def _show(self, end: int, safe: int, out: list[str]) -> None:
        """Up to `end` there is no secret."""
        end = min(end, safe)
        if end > self._decided:
            out.append(self._raw[self._decided : end])
            self._decided, self._inside = end, False

    def _hide(self, start: int, end: int, safe: int, out: list[str]) -> None:
        """From `start` to `end` there is one; unless something before it is not certain yet."""
        if self._decided < start or end <= self._decided:
            return
        if not self._inside:
            out.append(MARK)
        self._decided, self._inside = end, True

    def _found(self) -> Iterator[tuple[int, int]]:
        raw, grams = self._raw, self._values.grams
        for word in LONG_WORD.finditer(raw, max(0, self._decided - RUN + 1)) if grams else ():
            starts = range(word.start(), word.end() - RUN + 1)
            yield from ((at, at + RUN) for at in starts if raw[at : at + RUN] in grams)
        for whole in self._values.wholes:
            at = raw.find(whole, max(0, self._decided - len(whole) + 1))
            while at >= 0:
                yield at, at + len(whole)
                at = raw.find(whole, at + 1)

    def _found_short(self, ended: bool) -> Iterator[tuple[int, int]]:
        raw = self._raw
        for short in self._values.shorts:
            at = raw.find(short, max(0, self._decided - len(short) + 1))
            while at >= 0:
                end = at + len(short)
                is_certain = ended or end < len(raw)
                if is_certain and not _is_joined(raw[at - 1 : at]) and not _is_joined(raw[end : end + 1]):
                    yield at, end
                at = raw.find(short, at + 1)

    def _safe(self) -> int:
        """Return where the first thing begins that may become a secret."""
        raw = self._raw
        safe = len(raw)
        for length in range(1, min(RUN - 1, len(raw)) + 1):
            if raw[-length:] not in self._values.tokens:
                break
            safe = len(raw) - length
        for whole in self._values.wholes:
            at = raw.find(whole[0], max(0, len(raw) - len(whole) + 1))
            while 0 <= at < safe:
                if whole.startswith(raw[at:]):
                    safe = at
                at = raw.find(whole[0], at + 1)
        for short in self._values.shorts:
            # a whole one waits too: the next character says if it stands alone
            at = raw.find(short[0], max(0, len(raw) - len(short)))
            while 0 <= at < safe:
                if short.startswith(raw[at:]):
                    safe = at
                at = raw.find(short[0], at + 1)
        return safe


def _merged(found: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Merge what touches."""
    start = end = -1
    for at, until in sorted(found):
        if at > end:
            if end >= 0:
                yield start, end
            start = at
        end = max(end, until)
    if end >= 0:
        yield start, end


def _values(secret: str) -> set[str]:
    """Return a secret, and each line of it that is one in itself."""
    parts = {secret.strip(), *(line.strip() for line in secret.splitlines() if _is_token(line.strip()))}
    return {part for part in parts if len(part) >= SHORTEST_SECRET}


def _short_forms(values: Iterable[str]) -> set[str]:
    shorts = {value for value in values if len(value) < SHORTEST and _is_telling(value)}
    return shorts | {json.dumps(value)[1:-1] for value in shorts} | {quote(value, safe="") for value in shorts}


def _is_telling(value: str) -> bool:
    """True for a short value that is no word and no number: of two kinds of characters at least."""
    kinds = (r"[a-z]", r"[A-Z]", r"[0-9]", r"[^A-Za-z0-9\s]")
    found = sum(re.search(kind, value) is not None for kind in kinds)
    return found >= 2 and not value.isalpha() and re.fullmatch(r"[\d\W]+", value) is None


def _is_joined(neighbour: str) -> bool:
    return neighbour.isalnum() or neighbour == "_"


def _is_token(value: str) -> bool:
    """Random enough that a part of it means nothing else."""
    return TOKEN.fullmatch(value) is not None and len(set(value)) >= 10


def _forms(value: str) -> set[str]:
    """Return it as it is, and as JSON, URLs, base64 at each of its three alignments, and hexadecimal dumps write it."""
    raw = value.encode(errors="surrogateescape")
    forms = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    forms |= {quote(raw, safe=""), quote(raw), quote_plus(raw), raw.hex(), raw.hex().upper()}
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw).decode()
        # What the neighbours have a part in does not count.
        inner = encoded[(0, 2, 3)[shift] : len(encoded) - (0, 3, 2)[(shift + len(raw)) % 3]]
        forms |= {inner, inner.replace("+", "-").replace("/", "_")}
    return {form for form in forms if len(form) >= SHORTEST}


def known_secrets(settings: AgentSettings, inherited: Mapping[str, str]) -> list[str]:
    """Return the values that nothing an agent says may contain: credentials, secret variables, passwords in URLs."""
    keys = [settings.anthropic_api_key, settings.claude_code_oauth_token]
    values = {key.get_secret_value() for key in keys if key is not None}
    return sorted(value for value in values | variable_secrets(inherited) if value)


def variable_secrets(variables: Mapping[str, str]) -> set[str]:
    """Return the secrets among variables: by their names, and the password of any URL."""
    named = [secret_parts(value) for name, value in variables.items() if is_secret_name(name)]
    return set(url_passwords(variables.values())).union(*named)
