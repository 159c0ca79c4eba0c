"""Leads from one page of an HTTP endpoint to the next, and notices pages that nobody has asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx
from pydantic import JsonValue

from tasks.sources.base import HttpSource
from tasks.sources.errors import SourceFailed
from tasks.sources.expressions import ExpressionFailed, evaluate, is_true

_NUMBERS = ("page", "page_number", "pageNumber", "pageNo", "page_no", "pageIndex", "p")
"""Query parameters that count pages, where an address has one of them and nothing else leads on."""

_OFFSETS = ("offset", "startAt", "start", "skip", "from")
_SIZES = ("perPage", "per_page", "pageSize", "page_size", "limit", "maxResults", "size", "take", "count", "$top")
_WITH_PAGE = ("perPage", "per_page", "pageSize", "page_size")
"""Sizes that go with a parameter `page`, which counts from 1."""

_NEXT = ("next", "links.next", "_links.next.href", "_links.next", "paging.next", "pagination.next", '"@odata.nextLink"')
_MORE = (
    *("has_more", "hasMore", "more", "hasNextPage", "pageInfo.hasNextPage", "meta.has_more", "pagination.has_more"),
    *("next_cursor", "nextCursor", "nextPageToken", "next_page_token", "meta.next_cursor", "isLast == `false`", *_NEXT),
)
_TOTALS = ("total", "totalCount", "total_count", "totalResults", "meta.total", "pagination.total")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The request of one page."""

    url: httpx.URL
    body: JsonValue = None
    is_guess: bool = False
    """True if nothing says that there is such a page."""

    @property
    def identity(self) -> str:
        """The text by which a request that was made already is recognised."""
        return f"{self.url} {json.dumps(self.body, sort_keys=True)}"


@dataclass(frozen=True, slots=True)
class PageContent:
    """What a page gave: its Link, if it has links at all, its header that counts, its document, and its values."""

    link: str | None
    has_links: bool
    total: str | None
    document: Any
    values: Sequence[Any]


class Paging:
    """The way through the pages of one listing; made for each."""

    def __init__(self, source: HttpSource, whose: str) -> None:
        self._source = source
        self._whose = whose
        self._read = 0
        self._last: Sequence[Any] = ()
        self._by_links = False
        self.notes: list[str] = []

    def next(self, request: PageRequest, page: PageContent) -> PageRequest | None:
        """Return the request of the next page, None after the last one. Raises SourceFailed."""
        repeated = bool(page.values) and page.values == self._last
        self._read += 0 if repeated else len(page.values)
        self._last = page.values
        if self._source.more is not None and not is_true(self._evaluate(self._source.more, page.document)):
            return None
        if self._source.cursor is not None:
            return self._by_cursor(request, page)
        self._by_links = self._by_links or page.has_links or page.link is not None
        if page.link is not None:
            return PageRequest(request.url.join(page.link), request.body)
        if self._source.page_parameter or self._source.offset_parameter:
            return None if repeated else self._counted(request, page)
        if self._by_links:
            return None
        return self._unasked(request, page, repeated)

    def _by_cursor(self, request: PageRequest, page: PageContent) -> PageRequest | None:
        assert self._source.cursor is not None
        found = self._evaluate(self._source.cursor, page.document)
        if found is None or found is False or found == "":
            return None
        text = str(found)
        if text.startswith(("http://", "https://", "/", "?")):
            return PageRequest(request.url.join(text), request.body)
        return self._with(request, self._source.cursor_parameter, text)

    def _counted(self, request: PageRequest, page: PageContent) -> PageRequest | None:
        """Return the next page by its number or by the number of values before it; an empty page is the last."""
        if not page.values:
            return None
        if (name := self._source.page_parameter) is not None:
            return self._with(request, name, self._number(request, name, 1) + 1)
        name = str(self._source.offset_parameter)
        return self._with(request, name, self._number(request, name, 0) + len(page.values))

    def _unasked(self, request: PageRequest, page: PageContent, repeated: bool) -> PageRequest | None:
        """Return the next page where nothing in the configuration says how to find it; else leave a note."""
        for place in _NEXT:
            link = self._evaluate(place, page.document) if isinstance(page.document, dict) else None
            if isinstance(link, str) and link.startswith(("http://", "https://", "/", "?")):
                return PageRequest(request.url.join(link), request.body)
        if not page.values or _says_last(page.document):
            return None
        if repeated:
            self.notes.append(f"{self._whose} gives the same page again: only {self._read} values were read")
            return None
        size = _present(request, _SIZES)
        is_full = size is not None and self._number(request, size, 0) == len(page.values)
        if size is None or is_full:
            if (name := _present(request, _NUMBERS)) is not None:
                return self._guess(request, name, self._number(request, name, 1) + 1)
            if (name := _present(request, _OFFSETS)) is not None:
                return self._guess(request, name, self._number(request, name, 0) + len(page.values))
        if is_full and size in _WITH_PAGE:
            return self._guess(request, "page", 2)
        if reason := self._reason_for_more(page, size if is_full else None):
            how = "set page_parameter, offset_parameter or cursor"
            self.notes.append(f"there is more than the {self._read} values that were read: {reason}; {how}")
        return None

    def _guess(self, request: PageRequest, name: str, value: int) -> PageRequest:
        return replace(self._with(request, name, value), is_guess=True)

    def _reason_for_more(self, page: PageContent, full: str | None) -> str | None:
        if page.total is not None and page.total.isdecimal() and int(page.total) > self._read:
            return f"the server counts {page.total}"
        if isinstance(page.document, dict):
            for place in _TOTALS:
                total = self._evaluate(place, page.document)
                if isinstance(total, int) and not isinstance(total, bool) and total > self._read:
                    return f"the answer's `{place}` is {total}"
            for place in _MORE:
                if is_true(self._evaluate(place, page.document)):
                    return f"the answer has `{place}`"
        return f"the page is full, as `{full}` says" if full is not None else None

    def _with(self, request: PageRequest, name: str, value: str | int) -> PageRequest:
        if self._source.method == "POST":
            return PageRequest(request.url, _set(request.body, name.split("."), value))
        return PageRequest(request.url.copy_set_param(name, str(value)), request.body)

    def _number(self, request: PageRequest, name: str, otherwise: int) -> int:
        found: Any = request.url.params.get(name)
        if self._source.method == "POST":
            found = request.body
            for step in name.split("."):
                found = found.get(step) if isinstance(found, dict) else None
        return int(found) if str(found).isdecimal() else otherwise

    def _evaluate(self, expression: str, document: Any) -> Any:
        try:
            return evaluate(expression, document)
        except ExpressionFailed as failure:
            raise SourceFailed(f"{self._whose}: {failure}") from None


def _present(request: PageRequest, names: Sequence[str]) -> str | None:
    """Return the first of these query parameters that the address has with a number."""
    params = request.url.params
    return next((name for name in names if str(params.get(name)).isdecimal()), None)


def _says_last(document: Any) -> bool:
    """True if the document has a place for the next page, and nothing in it."""
    return isinstance(document, dict) and any(name in document and not document[name] for name in ("next", "nextLink"))


def _set(body: JsonValue, path: list[str], value: JsonValue) -> JsonValue:
    """Return the body with another value at the path; what is missing on the way is made."""
    if not path:
        return value
    members = body if isinstance(body, dict) else {}
    return {**members, path[0]: _set(members.get(path[0]), path[1:], value)}
