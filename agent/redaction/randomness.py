"""Judges if what stands where a secret could stand is random enough to be one: no word, placeholder, name or path."""

from __future__ import annotations

import base64
import binascii
import re

_PLACEHOLDER = re.compile(
    r"your|example|placeholder|change.?me|dummy|sample|replace|insert|redacted|x{4,}|\*{3,}|\.{3,}|-here\b|_here\b|%[sdr]|%\(",
    re.IGNORECASE,
)
_REFERENCE = re.compile(
    r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|(?:~|\.{0,2})/.*|\w+:(?://)?.*|\$.*"
)
_CHUNK = re.compile(r"[A-Za-z0-9]+")
_WORDLIKE = re.compile(r"(?:[A-Z]?[a-z]*|[A-Z]+)\d{0,4}(?:[a-z]*|[A-Z]*)")
_USUAL_PASSWORDS = {"password", "passwd", "pass", "secret", "token", "guest", "admin", "root", "test", "user"}
_LONG = 16


def is_token_body(body: str) -> bool:
    """True if what follows the beginning of a token is not one letter over and over, or words."""
    varied = re.search(r"\d", body) is not None or body not in (body.lower(), body.upper())
    return varied and len(set(body)) >= 3 and re.search(r"x{8,}|X{8,}", body) is None


def is_label_value(value: str) -> bool:
    """True if the value of a variable called TOKEN, SECRET or KEY is random."""
    if value.isdigit() or _PLACEHOLDER.search(value) or _REFERENCE.fullmatch(value):
        return False
    return not all(_WORDLIKE.fullmatch(chunk) for chunk in _CHUNK.findall(value))


def is_password_value(value: str) -> bool:
    """True if the value of a variable called PASSWORD is one: people choose words with a digit in them."""
    if _PLACEHOLDER.search(value) or _REFERENCE.fullmatch(value):
        return False
    return re.search(r"[A-Za-z]", value) is not None and re.search(r"\d", value) is not None


def is_url_password(before: str, password: str) -> bool:
    """True if the password in a URL is no placeholder and no word; `before` ends with the user and a colon."""
    user = before.rpartition("/")[2].rstrip(":")
    if password.lower() in (user.lower(), *_USUAL_PASSWORDS) or _PLACEHOLDER.search(password) or password[:1] in "$%*":
        return False
    if password.isdigit():
        return len(password) > 5  # shorter: a port
    return not password.isalpha() or len(password) >= _LONG or _is_mixed(password)


def is_basic_credential(value: str) -> bool:
    """True if the value of a Basic authorization header is one: base64 of `user:password`."""
    try:
        return b":" in base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False


def _is_mixed(word: str) -> bool:
    return word[1:] != word[1:].lower() and word != word.upper()
