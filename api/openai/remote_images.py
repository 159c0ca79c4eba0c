"""Downloads images by URL, from public addresses only."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import httpx

from agent.claude.turn import Content
from agent.system.addresses import NotFound, NotPublic, pin_public
from api.http.errors import ApiError
from api.openai.data_url import IMAGES, media_type_of

SECONDS = 15.0
"""For all images of a request together; the caller waits meanwhile."""

_HEADERS = {"accept": "image/*", "accept-encoding": "identity"}
_REDIRECTS = 3
_MAX_DOWNLOADS = 4
_HEAD_BYTES = 16
"""Say what an image is."""

Block = dict[str, Any]


class NoImage(Exception):
    """An image cannot be downloaded; the message has the reason."""


async def with_images(content: Content | None, max_bytes: int) -> Content | None:
    """Return the content with its images downloaded, `max_bytes` at most in all. Raises ApiError for one that fails."""
    if content is None or isinstance(content, str) or not any(map(_is_remote, content)):
        return content
    # no proxy from the environment: it would resolve the name a second time
    async with httpx.AsyncClient(trust_env=False, timeout=SECONDS) as client:
        download = _Download(client, max_bytes)
        tasks = [asyncio.create_task(download.block(block)) for block in content]
        try:
            async with asyncio.timeout(SECONDS):
                return list(await asyncio.gather(*tasks))
        except TimeoutError:
            raise _refusal(f"it did not arrive within {SECONDS:g} s") from None
        except NoImage as reason:
            raise _refusal(str(reason)) from None
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _is_remote(block: Block) -> bool:
    return block.get("type") == "image" and block["source"]["type"] == "url"


def _refusal(reason: str) -> ApiError:
    return ApiError(
        400, f"messages: an image could not be downloaded: {reason}", param="messages", code="invalid_image_url"
    )


class _Download:
    """Downloads the images of one request."""

    def __init__(self, client: httpx.AsyncClient, max_bytes: int) -> None:
        self._client = client
        self._bytes_left = max_bytes
        self._max_bytes = max_bytes
        self._downloads = asyncio.Semaphore(_MAX_DOWNLOADS)

    async def block(self, block: Block) -> Block:
        if not _is_remote(block):
            return block
        async with self._downloads:
            try:
                return await self._fetch(httpx.URL(block["source"]["url"]))
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise NoImage(type(error).__name__) from None

    async def _fetch(self, url: httpx.URL) -> Block:
        for _ in range(_REDIRECTS + 1):
            response = await self._client.send(await self._request(url), stream=True)
            try:
                if not response.has_redirect_location:
                    return await self._image(response)
                url = url.join(response.headers["location"])
            finally:
                await response.aclose()
        raise NoImage("too many redirects")

    async def _request(self, url: httpx.URL) -> httpx.Request:
        if url.scheme not in ("http", "https") or not url.host or url.userinfo:
            raise NoImage("only http and https URLs without a user name are downloaded")
        try:
            pinned = await pin_public(url)
        except NotFound:
            raise NoImage("its host name cannot be resolved") from None
        except NotPublic:
            raise NoImage("its host has no public address") from None
        headers = {**_HEADERS, **pinned.headers}
        return self._client.build_request("GET", pinned.url, headers=headers, extensions=pinned.extensions)

    async def _image(self, response: httpx.Response) -> Block:
        if response.status_code != 200:
            raise NoImage(f"its server answered {response.status_code}")
        body = bytearray()
        async for chunk in response.aiter_bytes(65_536):
            body += chunk
            self._bytes_left -= len(chunk)
            if self._bytes_left < 0:
                raise NoImage(f"the images have more than {self._max_bytes} bytes")
        media_type = media_type_of(bytes(body[:_HEAD_BYTES]))
        if media_type not in IMAGES:
            raise NoImage(f"its media type is none of {', '.join(sorted(IMAGES))}")
        source = {"type": "base64", "media_type": media_type, "data": base64.b64encode(body).decode()}
        return {"type": "image", "source": source}
