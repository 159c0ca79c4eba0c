"""Source: HTTP endpoint, with paging and conditional requests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import JsonValue

from agent.redaction.redactor import mask_url_credentials
from agent.system.addresses import NotFound, NotPublic, pin_public
from agent.system.http import retry_after_seconds
from agent.system.text import shorten
from tasks.sources.base import HttpSource
from tasks.sources.errors import SourceFailed
from tasks.sources.pages.bodies import ACCEPTED, CorruptBody, TooLarge, UnknownEncoding, read_body
from tasks.sources.pages.feeds import read_feed
from tasks.sources.pages.http_cache import CachedPage, HttpCache
from tasks.sources.pages.json_documents import find_list, read_json
from tasks.sources.pages.paging import PageContent, PageRequest, Paging
from tasks.sources.secret_files import NamedSecrets

PATIENCE_SECONDS = 60.0
"""How long to wait for a server that answers Retry-After, over all pages."""

_WAITS = 5
"""How often one page is asked for again; a server that always says "later" is left to the next run."""

_REDIRECTS = 5
_EXCERPT_BYTES = 300
_ERROR_BYTES = 65_536
_PLAIN = {"accept-encoding": ACCEPTED}
_SLOWEST = 10


@dataclass(frozen=True, slots=True)
class NotModified:
    """The server's 304; `link` is the next page if the answer names one."""

    link: str | None


class HttpEndpoint:
    """One listing of one HTTP endpoint; made for each listing, `notes` say what it left out."""

    def __init__(self, source: HttpSource, secrets: NamedSecrets, cache: HttpCache) -> None:
        self._source = source
        self._headers = {"accept": "application/json", **_PLAIN, **secrets.fill(source.headers)}
        self._cache = cache
        self._home = httpx.URL(str(source.url))
        self._patience = PATIENCE_SECONDS
        self._room = source.max_bytes
        self.notes: list[str] = []

    async def read(self) -> list[Any]:
        """Read the values of all pages. Raises SourceFailed, also if a single page fails."""
        seconds = self._source.timeout_seconds * _SLOWEST + PATIENCE_SECONDS
        try:
            async with asyncio.timeout(seconds):
                async with httpx.AsyncClient(timeout=self._source.timeout_seconds) as client:
                    return await self._read_pages(client)
        except TimeoutError:
            raise SourceFailed(f"{self._whose()} did not list everything within {seconds:.0f} s") from None
        except httpx.TimeoutException:
            silence = f"{self._source.timeout_seconds:g} s"
            raise SourceFailed(f"{self._whose()} said nothing for {silence}", retryable=True) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = mask_url_credentials(f"{type(error).__name__}: {error}")
            raise SourceFailed(shorten(f"{self._whose()}: {reason}", 300), retryable=True) from None

    async def _read_pages(self, client: httpx.AsyncClient) -> list[Any]:
        values: list[Any] = []
        seen: set[str] = set()
        paging = Paging(self._source, self._whose())
        request: PageRequest | None = PageRequest(self._home, self._source.body)
        while request is not None and request.identity not in seen:
            if len(seen) == self._source.max_pages:
                self.notes.append(f"only the first {len(seen)} pages were read; max_pages allows no more")
                break
            seen.add(request.identity)
            try:
                page = await self._read(client, request)
            except SourceFailed as failure:
                if not request.is_guess or failure.retryable:
                    raise
                self.notes.append(f"only {len(values)} values were read, there may be more: {failure}")
                break
            if page is None:
                break
            read = read_json if self._source.format == "json" else read_feed
            document = await asyncio.to_thread(read, page.body, self._whose())
            found = find_list(document, self._source.items, self._whose())
            values += found
            request = self._checked(
                paging.next(request, PageContent(page.next, page.has_links, page.total, document, found))
            )
        self.notes += paging.notes
        return values

    def _checked(self, request: PageRequest | None) -> PageRequest | None:
        """Return the request of the next page. Raises SourceFailed if it is on another server."""
        if request is not None and origin(request.url) != origin(self._home):
            where = f"{request.url.scheme}://{request.url.netloc.decode()}"
            raise SourceFailed(f"{self._whose()} has its next page at {where}: not followed; set url to that address")
        return request

    async def _read(self, client: httpx.AsyncClient, request: PageRequest) -> CachedPage | None:
        """Read one page from the server, or from the cache if the server answers 304; None for a page of nothing."""
        address = str(request.url)
        known = self._cache.find(address, self._headers) if self._source.method == "GET" else None
        for _ in range(_WAITS + 1):
            answer = await self._ask(client, request, known.conditions() if known else {})
            match answer:
                case CachedPage(body=b""):
                    return None
                case CachedPage():
                    if self._source.method == "GET":
                        self._cache.keep(address, self._headers, answer)
                    return answer
                case NotModified(link=link):
                    if known is None:
                        raise SourceFailed(f"{self._whose()} answered 304 to a question that named no older answer")
                    return known if link is None else known.model_copy(update={"next": link})
            await asyncio.sleep(answer)
        raise SourceFailed(f"{self._whose()} asked {_WAITS + 1} times to be asked later")

    async def _ask(
        self, client: httpx.AsyncClient, page: PageRequest, conditions: dict[str, str]
    ) -> CachedPage | NotModified | float:
        """Send one request. Returns the page, or the seconds to wait before the next request."""
        address = page.url
        for _ in range(_REDIRECTS + 1):
            request = await self._request(client, address, page.body, conditions)
            response = await client.send(request, stream=True)
            try:
                if not response.has_redirect_location:
                    return await self._take(response)
                address = address.join(response.headers["location"])
            finally:
                await response.aclose()
        raise SourceFailed(f"{self._whose()} redirects in circles")

    async def _request(
        self, client: httpx.AsyncClient, address: httpx.URL, body: JsonValue, conditions: dict[str, str]
    ) -> httpx.Request:
        """Build the request. Only the configured origin gets the headers and the body, which may hold secrets."""
        if origin(address) == origin(self._home):
            sent = json.dumps(body).encode() if self._source.method == "POST" else None
            kind = {"content-type": "application/json"} if sent is not None else {}
            headers = {**kind, **self._headers, **conditions}
            return client.build_request(self._source.method, address, headers=headers, content=sent)
        if address.scheme not in ("http", "https"):
            raise SourceFailed(f"the server leads to {address.scheme}:, which is not followed")
        try:
            pinned = await pin_public(address)
        except NotFound as error:
            raise SourceFailed(f"the server leads to {error}", retryable=True) from None
        except NotPublic:
            raise SourceFailed(
                f"the server leads to {address.host}, a private address: not followed; if it is meant, set url to it"
            ) from None
        return client.build_request("GET", pinned.url, headers=_PLAIN | pinned.headers, extensions=pinned.extensions)

    async def _take(self, response: httpx.Response) -> CachedPage | NotModified | float:
        headers = response.headers
        following = response.links.get("next", {})
        # Sentry names a next page after the last one, too, and says that there is nothing on it
        link = following.get("url") if following.get("results") != "false" else None
        if response.status_code == 304:
            return NotModified(link)
        if response.is_success:
            return CachedPage(
                body=b"" if response.status_code == 204 else await self._body(response),
                next=link,
                has_links=bool(response.links),
                etag=headers.get("etag"),
                modified=headers.get("last-modified"),
                total=headers.get("x-total-count") or headers.get("x-total"),
            )
        asked = _asked_to_wait(response)
        if asked is not None and (wait := max(asked, 1.0)) <= self._patience:
            self._patience -= wait
            return wait
        raise await self._refused(response, asked)

    async def _body(self, response: httpx.Response) -> bytes:
        try:
            body = await read_body(response, self._room)
        except TooLarge:
            most = self._source.max_bytes
            raise SourceFailed(
                f"{self._whose()} sent more than {most:,} bytes; ask for less, or raise max_bytes"
            ) from None
        except UnknownEncoding as encoding:
            raise SourceFailed(f"{self._whose()} sent {encoding}, which was not asked for") from None
        except CorruptBody as problem:
            raise SourceFailed(f"{self._whose()}: {problem}", retryable=True) from None
        self._room -= len(body)
        if not body.strip():
            raise SourceFailed(f"{self._whose()} gave no JSON: it answered {response.status_code} without a body")
        return body

    async def _refused(self, response: httpx.Response, wait: float | None) -> SourceFailed:
        said = b""
        with contextlib.suppress(TooLarge, UnknownEncoding, CorruptBody):
            said = await read_body(response, _ERROR_BYTES)
        later = f"; it asks to retry in {wait:.0f} s" if wait is not None else ""
        excerpt = shorten(mask_url_credentials(said.decode("utf-8", "replace")), _EXCERPT_BYTES)
        message = f"{self._whose()} answered {response.status_code}{later}: {excerpt or response.reason_phrase}"
        return SourceFailed(message, retryable=response.status_code >= 500 and wait is None)

    def _whose(self) -> str:
        return mask_url_credentials(str(self._home))


def _asked_to_wait(response: httpx.Response) -> float | None:
    """Return the seconds that the server asks to wait, None if it does not ask."""
    headers = response.headers
    if response.status_code not in (403, 429, 503):
        return None
    if "retry-after" in headers:
        wait = retry_after_seconds(headers["retry-after"])
        return 1.0 if wait is None else wait
    if headers.get("x-ratelimit-remaining") == "0":
        try:
            return max(0.0, float(headers["x-ratelimit-reset"]) - time.time())
        except (KeyError, ValueError):
            return None
    return 1.0 if response.status_code == 429 else None


_Origin = tuple[str, str, int | None]


def origin(url: httpx.URL) -> _Origin:
    """Return what decides who is asked: scheme, host, port."""
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)
