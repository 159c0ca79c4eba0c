"""Decodes data: URLs."""

from __future__ import annotations

import base64
import binascii

from agent.domain.values import Frozen

IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
DOCUMENTS = frozenset({"application/pdf"})
NOT_FETCHED = "must be a data URL, data:TYPE;base64,DATA; files on web servers are not downloaded"


class DataUrl(Frozen):
    """A file inside of a request: its media type and its bytes in base64."""

    media_type: str
    base64: str


def is_remote(url: str) -> bool:
    """True if the URL is that of a file on a web server."""
    return url[:8].lower().startswith(("http://", "https://"))


def read_data_url(url: str, media_types: frozenset[str]) -> DataUrl:
    """Return the file of a data URL. Raises ValueError for another URL, an empty file, and other media types."""
    head, comma, data = url.partition(",")
    scheme, *options = head.split(";")
    if scheme[:5].lower() != "data:" or not comma or options[-1:] != ["base64"]:
        raise ValueError(NOT_FETCHED)
    media_type = scheme[5:].lower().replace("image/jpg", "image/jpeg")
    if media_type not in media_types:
        raise ValueError(f"must be one of {', '.join(sorted(media_types))}")
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("its data is not base64") from None
    if not content:
        raise ValueError("its data is empty")
    return DataUrl(media_type=media_type, base64=data)
