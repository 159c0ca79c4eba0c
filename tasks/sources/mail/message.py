"""Reads one message: its headers, its text, and its attachments. Damaged parts are read as far as they go."""

from __future__ import annotations

import email.message
import email.policy
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.parser import BytesParser
from hashlib import sha256
from typing import Any

from tasks.sources.mail.charsets import decode_bytes, decode_header
from tasks.sources.mail.html_text import html_to_text

MOST_PARTS = 500
MOST_DEPTH = 20
ATTACHMENT_BYTES = 5_242_880
"""All attachments of a message together; those past it are named without their content."""

_SHOWN = ("from", "to", "cc", "reply-to", "subject", "date")
_KEPT = ("message-id", "in-reply-to", "list-id", "auto-submitted", "return-path")


@dataclass
class MessageParts:
    """What the parts of a message came to."""

    texts: list[str] = field(default_factory=list)
    attachments: list[dict[str, Any]] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=dict)
    """The attachments' bytes by their SHA-256."""
    notes: list[str] = field(default_factory=list)
    parts: int = 0
    room: int = ATTACHMENT_BYTES


def read_message(raw: bytes, text_characters: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the message as an item's value, and its attachments' bytes by their SHA-256."""
    message = BytesParser(policy=email.policy.compat32).parsebytes(raw)
    reading = MessageParts()
    _read_part(message, reading, 0)
    body = "\n\n".join(text for text in reading.texts if text.strip())
    if not body and not reading.attachments:
        # no part could be told: then all of it is the text
        body = decode_bytes(raw, None)
    headers = _headers(message)
    lines = [f"{name.title()}: {headers[name]}" for name in _SHOWN if name in headers]
    listed = [f"- {one['name']} ({one['type']}, {one['size']:,} bytes)" for one in reading.attachments]
    attached = ["Attachments:", *listed] if listed else []
    whole = "\n".join([*lines, "", body.strip(), *([""] if attached else []), *attached]).replace("\0", "\ufffd")
    value: dict[str, Any] = {name.replace("-", "_"): headers[name] for name in (*_SHOWN, *_KEPT) if name in headers}
    value |= {
        "subject": headers.get("subject", ""),
        "text": whole[:text_characters],
        "cut": len(whole) > text_characters,
        "attachments": reading.attachments,
    }
    return value | ({"notes": reading.notes} if reading.notes else {}), reading.contents


def _headers(message: email.message.Message[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in message.raw_items():
        known = name.strip().lower()
        if known in _SHOWN or known in _KEPT:
            found.setdefault(known, decode_header(str(value)))
    return found


def _read_part(part: email.message.Message[str, str], reading: MessageParts, depth: int) -> None:
    reading.parts += 1
    if reading.parts > MOST_PARTS or depth > MOST_DEPTH:
        if not reading.notes:
            reading.notes.append("the message has more parts than are read")
        return
    kind = part.get_content_type()
    if kind == "multipart/alternative" and part.is_multipart():
        _read_alternatives(list(_parts(part)), reading, depth)
    elif kind == "message/rfc822" and part.is_multipart():
        for inner in _parts(part):
            shown = _headers(inner)
            lines = [f"{name.title()}: {shown[name]}" for name in _SHOWN if name in shown]
            reading.texts.append("\n".join(["---------- Forwarded message ----------", *lines]))
            _read_part(inner, reading, depth + 1)
    elif part.is_multipart():
        for inner in _parts(part):
            _read_part(inner, reading, depth + 1)
    elif _is_attachment(part, kind):
        _attach(part, kind, reading)
    else:
        reading.texts.append(_text_of(part, kind))


def _parts(part: email.message.Message[str, str]) -> Iterator[email.message.Message[str, str]]:
    payload = part.get_payload()
    if isinstance(payload, list):
        yield from (one for one in payload if isinstance(one, email.message.Message))


def _read_alternatives(parts: list[email.message.Message[str, str]], reading: MessageParts, depth: int) -> None:
    """Read the plain text if it says something, else the last alternative that does; attachments of all of them."""
    trials = []
    for part in parts:
        trial = MessageParts(parts=reading.parts, room=reading.room)
        _read_part(part, trial, depth + 1)
        reading.parts, reading.room = trial.parts, trial.room
        trials.append((part.get_content_type(), trial))
        reading.attachments += trial.attachments
        reading.contents |= trial.contents
        reading.notes += trial.notes[: 1 - len(reading.notes)]
    said = [(kind, trial) for kind, trial in trials if any(text.strip() for text in trial.texts)]
    if said:
        plain = next((trial for kind, trial in said if kind == "text/plain"), said[-1][1])
        reading.texts += plain.texts


def _is_attachment(part: email.message.Message[str, str], kind: str) -> bool:
    disposition = str(part.get("content-disposition", "")).strip().lower()
    if disposition.startswith("attachment"):
        return True
    is_text = kind.startswith(("text/", "multipart/")) or kind in (
        "message/delivery-status",
        "message/disposition-notification",
    )
    # text that is named is a file; of plain text and HTML, mail programs name the body itself too
    return not is_text or (kind not in ("text/plain", "text/html") and _name(part) != "")


def _attach(part: email.message.Message[str, str], kind: str, reading: MessageParts) -> None:
    content = _bytes_of(part)
    digest = sha256(content).hexdigest()
    name = _name(part) or f"part-{len(reading.attachments) + 1}"
    attachment = {"name": name, "type": kind, "size": len(content), "sha256": digest}
    reading.attachments.append(attachment)
    if len(content) <= reading.room:
        reading.room -= len(content)
        reading.contents[digest] = content


def _name(part: email.message.Message[str, str]) -> str:
    try:
        name = part.get_filename() or ""
    except (UnicodeError, LookupError, ValueError, TypeError):
        name = ""
    return decode_header(str(name)).replace("/", "_").replace("\\", "_")[:150]


def _bytes_of(part: email.message.Message[str, str]) -> bytes:
    try:
        content = part.get_payload(decode=True)
    except (UnicodeError, LookupError, ValueError, AssertionError):
        content = None
    return content if isinstance(content, bytes) else str(part.get_payload()).encode("utf-8", "surrogateescape")


def _text_of(part: email.message.Message[str, str], kind: str) -> str:
    charset = part.get_param("charset")
    text = decode_bytes(_bytes_of(part), charset if isinstance(charset, str) else None).replace("\r\n", "\n")
    return html_to_text(text) if kind == "text/html" or _looks_like_html(text) else text


def _looks_like_html(text: str) -> bool:
    return text.lstrip()[:15].lower().startswith(("<!doctype html", "<html"))
