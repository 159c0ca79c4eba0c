"""Source: HTTP endpoint, with paging and conditional requests."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx

from agent.redaction.redactor import mask_url_credentials
from agent.system.addresses import NotFound, NotPublic, pin_public
from agent.system.http import retry_after_seconds
from agent.system.text import shorten
from tasks.sources.errors import SourceFailed
from tasks.sources.expressions import ExpressionFailed, evaluate
from tasks.sources.http_cache import CachedPage, HttpCache
from tasks.sources.json_documents import find_list, read_json
from tasks.sources.models import HttpSource
from tasks.sources.secret_files import NamedSecrets

PATIENCE_SECONDS = 60.0
"""How long to wait for a server that answers Retry-After, over all pages."""

_REDIRECTS = 5
_EXCERPT_BYTES = 300
_SLOWEST = 10


class HttpEndpoint:
    """One listing of one HTTP endpoint; made for each listing, `notes` say what it left out."""

    def __init__(self, source: HttpSource, secrets: NamedSecrets, cache: HttpCache) -> None:
        self._source = source
        self._headers = {"accept": "application/json", **secrets.fill(source.headers)}
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
        address: httpx.URL | None = self._home
        while address is not None and str(address) not in seen:
            if len(seen) == self._source.max_pages:
                self.notes.append(f"only the first {len(seen)} pages were read; max_pages allows no more")
                break
            seen.add(str(address))
            page = await self._read(client, address)
            document = await asyncio.to_thread(read_json, page.body, self._whose())
            values += find_list(document, self._source.items, self._whose())
            address = self._next(address, page, document)
        return values

    async def _read(self, client: httpx.AsyncClient, address: httpx.URL) -> CachedPage:
        """Read one page from the server, or from the cache if the server answers 304."""
        known = self._cache.find(str(address), self._headers)
        while True:
            answer = await self._ask(client, address, known.conditions() if known else {})
            if isinstance(answer, CachedPage):
                self._cache.keep(str(address), self._headers, answer)
                return answer
            if answer is None:
                if known is None:
                    raise SourceFailed(f"{self._whose()} answered 304 to a question that named no older answer")
                return known
            await asyncio.sleep(answer)

    async def _ask(
        self, client: httpx.AsyncClient, address: httpx.URL, conditions: dict[str, str]
    ) -> CachedPage | float | None:
        """Send one request. Returns the page, the seconds to wait before the next request, or None for 304."""
        for _ in range(_REDIRECTS + 1):
            request = await self._request(client, address, conditions)
            response = await client.send(request, stream=True)
            try:
                if not response.has_redirect_location:
                    return await self._take(response)
                address = address.join(response.headers["location"])
            finally:
                await response.aclose()
        raise SourceFailed(f"{self._whose()} redirects in circles")

    async def _request(
        self, client: httpx.AsyncClient, address: httpx.URL, conditions: dict[str, str]
    ) -> httpx.Request:
        """Build the request. Only the configured origin gets the headers, which may hold secrets."""
        if origin(address) == origin(self._home):
            return client.build_request("GET", address, headers={**self._headers, **conditions})
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
        return client.build_request("GET", pinned.url, headers=pinned.headers, extensions=pinned.extensions)

    async def _take(self, response: httpx.Response) -> CachedPage | float | None:
        if response.status_code == 304:
            return None
        if response.is_success:
            link = response.links.get("next", {}).get("url")
            headers = response.headers
            return CachedPage(
                body=await self._body(response),
                next=link,
                etag=headers.get("etag"),
                modified=headers.get("last-modified"),
            )
        wait = _asked_to_wait(response)
        if wait is not None and max(wait, 1.0) <= self._patience:
            self._patience -= max(wait, 1.0)
            return wait
        raise await self._refused(response, wait)

    async def _body(self, response: httpx.Response) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_bytes(65_536):
            body += chunk
            if len(body) > self._room:
                most = self._source.max_bytes
                raise SourceFailed(f"{self._whose()} sent more than {most:,} bytes; ask for less, or raise max_bytes")
        self._room -= len(body)
        return bytes(body)

    async def _refused(self, response: httpx.Response, wait: float | None) -> SourceFailed:
        said = b""
        async for chunk in response.aiter_bytes(_EXCERPT_BYTES):
            said = chunk
            break
        later = f"; it asks to retry in {wait:.0f} s" if wait is not None else ""
        excerpt = shorten(mask_url_credentials(said.decode("utf-8", "replace")), _EXCERPT_BYTES)
        message = f"{self._whose()} answered {response.status_code}{later}: {excerpt or response.reason_phrase}"
        return SourceFailed(message, retryable=response.status_code >= 500 and wait is None)

    def _next(self, address: httpx.URL, page: CachedPage, document: Any) -> httpx.URL | None:
        """Return the next page's address, None after the last page. Raises SourceFailed for another server."""
        found: Any = page.next
        if self._source.cursor is not None:
            try:
                found = evaluate(self._source.cursor, document)
            except ExpressionFailed as failure:
                raise SourceFailed(f"{self._whose()}: {failure}") from None
        if found is None or found is False or found == "":
            return None
        text = str(found)
        if self._source.cursor is not None and not text.startswith(("http://", "https://", "/", "?")):
            return address.copy_set_param(self._source.cursor_parameter, text)
        following = address.join(text)
        if origin(following) != origin(self._home):
            where = f"{following.scheme}://{following.netloc.decode()}"
            raise SourceFailed(f"{self._whose()} has its next page at {where}: not followed; set url to that address")
        return following

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
