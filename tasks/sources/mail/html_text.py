"""HTML as text, with the addresses that its links lead to."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_SILENT = frozenset(("script", "style", "head", "title", "template", "noscript", "svg"))
_BLOCKS = frozenset(
    (
        *("p", "div", "br", "tr", "table", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre"),
        *("section", "article", "header", "footer", "hr", "dl", "dt", "dd"),
    )
)


def html_to_text(html: str) -> str:
    """Return the text of a page or a fragment; what is damaged is read as far as it goes."""
    reader = _Reader()
    try:
        reader.feed(html)
        reader.close()
    except (AssertionError, ValueError, RecursionError):
        reader.pieces.append(re.sub(r"<[^>]*>", " ", html))
    text = "".join(reader.pieces).replace("\xa0", " ")
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._silent: list[str] = []
        self._links: list[tuple[str, int]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT:
            self._silent.append(tag)
        elif tag == "body":
            self._silent.clear()  # a head that nobody closed
        elif tag == "li":
            self.pieces.append("\n- ")
        elif tag in ("td", "th"):
            self.pieces.append(" ")
        elif tag in _BLOCKS:
            self.pieces.append("\n")
        elif tag == "img" and (text := dict(attrs).get("alt")):
            self.pieces.append(f" {text} ")
        elif tag == "a":
            self._links.append((dict(attrs).get("href") or "", len(self.pieces)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _SILENT:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._silent:
            while self._silent and self._silent.pop() != tag:
                pass
        elif tag in _BLOCKS:
            self.pieces.append("\n")
        elif tag == "a" and self._links:
            href, start = self._links.pop()
            shown = "".join(self.pieces[start:]).strip()
            if href.startswith(("http:", "https:", "mailto:")) and href.removeprefix("mailto:") != shown:
                self.pieces.append(f" <{href}>")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.pieces.append(" ".join(data.split("\n")) if data.strip() else " ")
