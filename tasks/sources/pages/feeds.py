"""Reads RSS and Atom into plain values."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from tasks.sources.errors import SourceFailed
from tasks.sources.mail.html_text import html_to_text

_TEXT_CHARACTERS = 20_000
_TEXTS = ("encoded", "content", "description", "summary")
_DATES = ("published", "pubDate", "date", "updated")


def read_feed(body: bytes, whose: str) -> list[dict[str, Any]]:
    """Return the entries with `id`, `title`, `link`, `date`, `author` and `text`. Raises SourceFailed."""
    # entities are the way to unpack a few bytes into gigabytes, and no feed needs its own
    if b"<!ENTITY" in body or b"<!\x00E\x00N\x00T\x00I\x00T\x00Y" in body:
        raise SourceFailed(f"{whose} gave XML that declares entities, which are not read")
    try:
        root = ElementTree.fromstring(body)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise SourceFailed(f"{whose} gave no feed: {error}") from None
    entries = [element for element in root.iter() if _name(element) in ("item", "entry")]
    if not entries and _name(root) not in ("rss", "feed", "RDF"):
        raise SourceFailed(f"{whose} gave XML, but no RSS or Atom: its root is {_name(root)}")
    return [_read(entry) for entry in entries]


def _read(entry: ElementTree.Element) -> dict[str, Any]:
    found: dict[str, ElementTree.Element] = {}
    for child in entry:
        found.setdefault(_name(child), child)
    links = [child for child in entry if _name(child) == "link" and child.get("rel", "alternate") == "alternate"]
    link = next((href for child in links if (href := child.get("href"))), None) or _text(found.get("link"))
    text = next((said for name in _TEXTS if (said := _text(found.get(name)))), "")
    author = found.get("author")
    names = [_text(child) for child in author or () if _name(child) == "name"]
    return {
        "id": _text(found.get("guid")) or _text(found.get("id")) or link or _text(found.get("title")),
        "title": html_to_text(_text(found.get("title"))),
        "link": link,
        "date": next((date for name in _DATES if (date := _text(found.get(name)))), None),
        "author": next(iter(names), None) or _text(found.get("creator")) or _text(author) or None,
        "text": html_to_text(text)[:_TEXT_CHARACTERS],
    }


def _name(element: ElementTree.Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _text(element: ElementTree.Element | None) -> str:
    return "".join(element.itertext()).strip() if element is not None else ""
