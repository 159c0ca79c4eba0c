"""Decodes bytes of mail by the charset that a message names, and by what people mean where that is wrong."""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from quopri import decodestring

_MEANT = {
    **dict.fromkeys(("iso-8859-1", "latin-1", "latin1", "ascii", "us-ascii", "ansi"), "cp1252"),
    **dict.fromkeys(("gb2312", "gbk", "x-gbk", "gb_2312-80", "chinese"), "gb18030"),
    **dict.fromkeys(("ks_c_5601-1987", "euc-kr", "ksc5601", "korean"), "cp949"),
    **dict.fromkeys(("shift_jis", "shift-jis", "x-sjis", "sjis", "windows-31j"), "cp932"),
    **dict.fromkeys(("iso-2022-jp", "csiso2022jp"), "iso2022_jp_ext"),
    **dict.fromkeys(("iso-8859-8-i", "iso-8859-8-e"), "iso-8859-8"),
    **dict.fromkeys(("unicode-1-1-utf-7", "unicode-1-1-utf-8"), "utf-7"),
    **dict.fromkeys(("iso-8859-9", "latin5"), "cp1254"),
    **dict.fromkeys(("iso-8859-11", "tis-620"), "cp874"),
    **dict.fromkeys(("big5", "big-5", "x-big5"), "big5hkscs"),
    "macintosh": "mac-roman",
    "x-mac-roman": "mac-roman",
    "utf8mb4": "utf-8",
}
"""Charsets by what writers of mail mean with their names: nearly always a superset."""

_WORD = re.compile(r"=\?([^?\s*]+)(?:\*[^?]*)?\?([bq])\?([^?]*)\?=", re.IGNORECASE)
_BETWEEN_WORDS = re.compile(r"(\?=)[ \t\r\n]+(?==\?)")


def decode_bytes(data: bytes, charset: str | None) -> str:
    """Return the bytes as text. UTF-8 counts first: a message with a wrong charset is often UTF-8 in truth."""
    name = (charset or "").strip().strip("\"'").lower()
    if data.startswith(codecs.BOM_UTF8) or name in ("utf-8", "utf8", ""):
        return _first(data, "utf-8-sig", "cp1252")
    if name.startswith("iso-2022") or name in ("utf-7", "hz-gb-2312", "utf-16", "utf-16le", "utf-16be", "utf-32"):
        return _first(data, _MEANT.get(name, name), "utf-8")
    return _first(data, "utf-8", _MEANT.get(name, name), "cp1252")


def decode_header(value: str) -> str:
    """Return a header's text on one line: encoded words are decoded, bytes that are no ASCII are read as text."""
    text = decode_bytes(value.encode("utf-8", "surrogateescape"), None)
    words: list[tuple[str, bytes]] = []
    parts: list[str] = []
    end = 0
    text = _BETWEEN_WORDS.sub(r"\1", text)
    for found in _WORD.finditer(text):
        if found.start() > end or not words:
            parts += [_join(words), text[end : found.start()]]
            words = []
        words.append((found[1].lower(), _payload(found[2], found[3])))
        end = found.end()
    return " ".join("".join([*parts, _join(words), text[end:]]).split())


def _join(words: list[tuple[str, bytes]]) -> str:
    """Decode neighbouring words of a charset together: writers split them in the middle of a character."""
    text, held = "", b""
    for index, (charset, data) in enumerate(words):
        held += data
        if index + 1 == len(words) or words[index + 1][0] != charset:
            text, held = text + decode_bytes(held, charset), b""
    return text


def _payload(encoding: str, data: str) -> bytes:
    raw = data.encode("utf-8", "surrogateescape")
    if encoding.lower() == "q":
        return decodestring(raw, header=True)
    try:
        return base64.b64decode(raw + b"=" * (-len(raw) % 4))
    except (binascii.Error, ValueError):
        return raw


def _first(data: bytes, *charsets: str) -> str:
    for charset in charsets:
        try:
            return data.decode(charset)
        except (UnicodeError, LookupError, ValueError):
            continue
    return data.decode("utf-8", "replace")
