"""Identifies retries of a request by Idempotency-Key or the SDK's retry count."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from starlette.requests import Request

from api.http.authentication import bearer_token

_ANSWER_ONLY = ("stream", "stream_options", "include_reasoning")
"""Members that change the form of an answer and not the run: a key means the same run with and without them."""


@dataclass(frozen=True)
class RequestIdentity:
    """The attributes by which two HTTP requests are one; made from each request.

    Requests with one `key` are one, and `meaning` must be equal. Requests that state a `retry_count`, whichever, are
    one if their `bytes` are equal and the earlier one was abandoned.
    """

    scope: str
    key: str | None
    meaning: str
    retry_count: int | None
    bytes: str


async def identify(request: Request, significant_headers: Collection[str] = ()) -> RequestIdentity:
    """Return the identity of a request whose body is a JSON object; other `significant_headers` make another one."""
    key = request.headers.get("idempotency-key", "").strip() or None
    retry_count = _count(request.headers.get("x-stainless-retry-count"))
    headers = {name: request.headers.getlist(name) for name in significant_headers}
    return RequestIdentity(
        scope=f"chat {sha256(bearer_token(request.scope)).hexdigest()}",
        key=key,
        meaning=_digest(headers, _meaning(await request.json())) if key is not None else "",
        retry_count=retry_count,
        bytes=_digest(headers, await request.body()) if key is None else "",
    )


def _meaning(body: dict[str, Any]) -> bytes:
    meaning = {name: value for name, value in body.items() if name not in _ANSWER_ONLY}
    return json.dumps(meaning, sort_keys=True).encode()


def _digest(headers: dict[str, list[str]], content: bytes) -> str:
    return sha256(json.dumps(headers).encode() + content).hexdigest()


def _count(header: str | None) -> int | None:
    return int(header) if header and header.isascii() and header.isdigit() and len(header) < 10 else None
