"""Decides which part of a variable, a file or a URL is a secret: passwords and tokens, not words, paths or switches."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

SHORTEST_SECRET = 4
"""A shorter value would be taken out of any text."""

FILE_BYTES = 65_536
MOST_FILES = 1000

_SECRET_NAME = re.compile(
    r"TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|PASSCODE|PGPASS|API_?KEY|AUTH_?STRING|DATABASE_URL|CREDENTIAL|WEBHOOK|COOKIE|"
    r"PRIVATE_?KEY|ACCESS_?KEY|SIGNING|(?:^|_)(?:PASS|PAT|PWD|AUTH|KEY|DSN|PIN|SALT|CREDS?)(?:_?\d+)?$",
    re.IGNORECASE,
)
_NOT_SECRET_NAME = re.compile(
    r"^(OLD)?PWD$|^SSH_AUTH_SOCK$|(?:_FILE|_PATH|_DIR|_NAME|_ID|_SOCK|_ENABLED|_TYPE|_LENGTH|_TTL|_SECONDS)$",
    re.IGNORECASE,
)
_WORDS = {"true", "false", "none", "null", "undefined", "default", "disabled", "enabled", "changeme", "password"}
_PATH = re.compile(r"(?:~|\.{1,2})?/[^\s]*|[A-Za-z]:\\.*|[\w.-]+(?:/[\w.-]+)+\.[A-Za-z]{1,5}")
_SIMPLE_WORD = re.compile(r"[A-Za-z]+|[A-Z][A-Z_]*|[a-z]+(?:[-_.][a-z]+)?")
_NUMBER = re.compile(r"[\d.,:_-]+")
_SECRET_PARAMETER = re.compile(r"token|key|secret|pass|pwd|signature|sig|auth|credential", re.IGNORECASE)
_KEYWORD = re.compile(r"(?:^|[\s;])(?:password|pwd|sslpassword)\s*=\s*('[^']+'|[^\s;]+)", re.IGNORECASE)
_USER_PASSWORD = re.compile(r"[\w.@+-]{1,64}:(\S{4,})")
_LONG_SEGMENT = 16


def is_secret_name(name: str) -> bool:
    """True if a variable of that name holds a secret."""
    return _SECRET_NAME.search(name) is not None and _NOT_SECRET_NAME.search(name) is None


def is_secret_value(value: str) -> bool:
    """True if the value could be a secret: no word, switch, number, path or plain address, which texts are full of."""
    if len(value) < SHORTEST_SECRET or value.lower() in _WORDS or _PATH.fullmatch(value):
        return False
    if _SIMPLE_WORD.fullmatch(value):
        mixed = value[1:] != value[1:].lower() and value != value.upper()
        return mixed and len(value) >= 8
    return not (_NUMBER.fullmatch(value) and len(value) < 12)


def secret_parts(value: str) -> set[str]:
    """Return what of a secret variable's or file's value has to stay unseen."""
    value = value.strip()
    if "://" in value:
        return set(url_secrets(value))
    parts = {value}
    if value[:1] in ("{", "["):
        parts |= set(_json_strings(value))
    parts |= {found[1].strip("'") for found in _KEYWORD.finditer(value)}
    if (pair := _USER_PASSWORD.fullmatch(value)) is not None:
        parts.add(pair[1])
    return {part for part in parts if is_secret_value(part)}


def url_secrets(url: str) -> Iterator[str]:
    """Yield the secrets in a URL: its password as written and as meant, secret parameters, a long random segment."""
    try:
        found = urlsplit(url.strip())
        password, user = found.password, found.username
    except ValueError:
        return
    for part in (password, user if password is None or len(user or "") >= _LONG_SEGMENT else None):
        if part:
            yield from (form for form in {part, unquote(part)} if is_secret_value(form) or form == password)
    for name, content in parse_qsl(found.query):
        if _SECRET_PARAMETER.search(name) and is_secret_value(content):
            yield content
    for segment in found.path.split("/"):
        if len(segment) >= _LONG_SEGMENT and re.search(r"\d", segment) and re.search(r"[A-Za-z]", segment):
            yield segment


def url_passwords(values: Iterable[str]) -> Iterator[str]:
    """Yield the passwords of all URLs among the values, whatever their variables are called."""
    for value in values:
        if "://" in value and "@" in value:
            try:
                password = urlsplit(value.strip()).password
            except ValueError:
                continue
            if password:
                yield from (form for form in {password, unquote(password)} if is_secret_value(form))


def file_secrets(paths: Iterable[Path]) -> list[str]:
    """Return the secrets in files, of each whole and of the lines of a short one; a folder stands for its files."""
    found: set[str] = set()
    for path in _files(paths):
        try:
            with path.open("rb") as file:
                content = file.read(FILE_BYTES).decode(errors="replace")
        except OSError:
            continue
        for part in [content, *(content.splitlines() if content.count("\n") <= 20 else ())]:
            found |= secret_parts(part)
    return sorted(found)


def _files(paths: Iterable[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        try:
            files += sorted(path.iterdir())[:MOST_FILES] if path.is_dir() else [path]
        except OSError:
            continue
    return [file for file in files if file.is_file()]


def _json_strings(text: str) -> Iterator[str]:
    try:
        pending: list[Any] = [json.loads(text)]
    except (ValueError, RecursionError):
        return
    while pending:
        match pending.pop():
            case str() as one if len(one) >= _LONG_SEGMENT and "://" not in one and re.search(r"\d", one):
                yield one
            case dict() as members:
                pending += members.values()
            case list() as items:
                pending += items
