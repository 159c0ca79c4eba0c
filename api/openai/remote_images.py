"""Images that a caller names by their address: fetched from the public internet, and from nowhere else."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import httpx

from agent.claude.turn import Content
from agent.system.addresses import NotFound, NotPublic, pin_public
from api.http.errors import ApiError
from api.openai.data_url import IMAGES

SECONDS = 15.0
"""For all of a request's images."""

_HEADERS = {"accept": "image/*", "accept-encoding": "identity"}
_REDIRECTS = 3
_AT_ONCE = 4

Block = dict[str, Any]


class NoImage(Exception):
    """There is no image for us at that address; the message says why."""


async def with_images(content: Content | None, max_bytes: int) -> Content | None:
    """The content with its images in it, at most `max_bytes` of them; raises ApiError for one that we cannot have."""
    if content is None or isinstance(content, str) or not any(map(_is_remote, content)):
        return content
    # no proxy of the environment's: it would look the name up once more
    async with httpx.AsyncClient(trust_env=False, timeout=SECONDS) as client:
        fetching = _Fetching(client, max_bytes)
        tasks = [asyncio.create_task(fetching.block(block)) for block in content]
        try:
            async with asyncio.timeout(SECONDS):
                return list(await asyncio.gather(*tasks))
        except TimeoutError:
            raise _refusal(f"not all of them came within {SECONDS:g} s") from None
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
        400, f"messages: an image could not be fetched: {reason}", param="messages", code="invalid_image_url"
    )


class _Fetching:
    """The images of one request."""

    def __init__(self, client: httpx.AsyncClient, max_bytes: int) -> None:
        self._client = client
        self._room = max_bytes
        self._max_bytes = max_bytes
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def block(self, block: Block) -> Block:
        if not _is_remote(block):
            return block
        async with self._turns:
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
            raise NoImage("only plain http and https addresses are fetched")
        try:
            pinned = await pin_public(url)
        except NotFound:
            raise NoImage("its host is not known") from None
        except NotPublic:
            raise NoImage("its host is not at a public address") from None
        headers = {**_HEADERS, **pinned.headers}
        return self._client.build_request("GET", pinned.url, headers=headers, extensions=pinned.extensions)

    async def _image(self, response: httpx.Response) -> Block:
        if response.status_code != 200:
            raise NoImage(f"its server answered {response.status_code}")
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        media_type = media_type.replace("image/jpg", "image/jpeg")
        if media_type not in IMAGES:
            raise NoImage(f"it is none of {', '.join(sorted(IMAGES))}")
        body = bytearray()
        async for chunk in response.aiter_bytes(65_536):
            body += chunk
            self._room -= len(chunk)
            if self._room < 0:
                raise NoImage(f"there are more than {self._max_bytes} bytes of them")
        source = {"type": "base64", "media_type": media_type, "data": base64.b64encode(body).decode()}
        return {"type": "image", "source": source}
