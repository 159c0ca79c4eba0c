"""Decodes data: URLs, and tells images by their bytes."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import unquote_to_bytes

from agent.domain.values import Frozen

IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
DOCUMENTS = frozenset({"application/pdf"})
NOT_FETCHED = "must be a data URL, data:TYPE;base64,DATA; files on web servers are not downloaded"

_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_PDF_WITHIN = 1024
"""Readers look for a PDF's first line so far into the file."""


class DataUrl(Frozen):
    """A file inside of a request: its media type and its bytes in base64."""

    media_type: str
    base64: str


def is_remote(url: str) -> bool:
    """True if the URL is that of a file on a web server."""
    return url[:8].lower().startswith(("http://", "https://"))


def read_data_url(url: str, media_types: frozenset[str]) -> DataUrl:
    """Return the file of a data URL. Raises ValueError for another URL, an empty file, and other media types.

    The bytes say what the file is; clients label a photo as PNG, and the provider refuses one under a wrong label.
    """
    head, comma, data = url.partition(",")
    scheme, *options = head.split(";")
    if scheme[:5].lower() != "data:" or not comma or [one.strip().lower() for one in options[-1:]] != ["base64"]:
        raise ValueError(NOT_FETCHED)
    content = _decode(data)
    if not content:
        raise ValueError("its data is empty")
    media_type = media_type_of(content)
    if media_type not in media_types:
        labelled = scheme[5:].strip()[:100] or "no type"
        raise ValueError(f"must be one of {', '.join(sorted(media_types))} by its bytes (it is labelled {labelled})")
    return DataUrl(media_type=media_type, base64=base64.b64encode(content).decode())


def media_type_of(content: bytes) -> str | None:
    """Return the media type that the first bytes of a file say; None for a file that no provider reads."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return "image/webp"
    return "application/pdf" if b"%PDF-" in content[:_PDF_WITHIN] else None


def _decode(data: str) -> bytes:
    """Return the bytes of base64 with line breaks, without padding, or in its form for URLs."""
    try:
        packed = b"".join(unquote_to_bytes(data).split()).translate(_URL_SAFE).rstrip(b"=")
        return base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("its data is not base64") from None
