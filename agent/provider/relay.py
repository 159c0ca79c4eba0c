"""Forwards one model call and streams the answer back unchanged."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import httpx

from agent.provider.credential import Credential
from agent.provider.failures import ProviderFailure, read_trouble
from agent.provider.lease import Lease, Price
from agent.provider.usage_meter import ModelCall, UsageMeter
from agent.system.http import HOP_BY_HOP

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

OAUTH_BETA = b"oauth-2025-04-20"
"""What the CLI adds to `anthropic-beta` when it has an OAuth token (2.1.330)."""

NOT_PASSED_ON = HOP_BY_HOP | frozenset(
    b"transfer-encoding host x-api-key authorization cookie accept-encoding content-length".split()
)
NOT_PASSED_BACK = HOP_BY_HOP | {b"transfer-encoding", b"set-cookie"}
ERROR_BYTES = 65_536


class Relay:
    """Made once for each call; `started` tells whether the answer has begun."""

    def __init__(self, lease: Lease, send: Send, price: Price | None, note: Callable[[ProviderFailure], None]) -> None:
        self.started = False
        self._lease = lease
        self._send = send
        self._price = price
        self._note = note
        self._began = time.monotonic()
        self._booked = False

    async def run(self, transport: httpx.AsyncBaseTransport, request: httpx.Request) -> None:
        """Ask, and pass the answer on chunk by chunk; raises httpx.TransportError as the transport does."""
        response = await transport.handle_async_request(request)
        meter = UsageMeter(response.headers.get("content-type", ""), response.headers.get("content-encoding", ""))
        try:
            await (self._fail if response.status_code >= 400 else self._stream)(response, meter)
        finally:
            self._book(response.status_code, meter, complete=False)
            await response.aclose()

    async def _stream(self, response: httpx.Response, meter: UsageMeter) -> None:
        await self._start(response, [])
        async for chunk in response.stream:  # type: ignore[union-attr]
            meter.feed(chunk)
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        meter.finish()
        self._book(response.status_code, meter, complete=True)
        await self._send({"type": "http.response.body", "body": b""})

    async def _fail(self, response: httpx.Response, meter: UsageMeter) -> None:
        """An error is read whole before it is passed on: what it says decides if the CLI should try again."""
        body = b"".join([chunk async for chunk in response.stream])  # type: ignore[union-attr]
        meter.trouble = read_trouble(response.status_code, response.headers, body[:ERROR_BYTES])
        self._book(response.status_code, meter, complete=True)
        advice: Headers = []
        if meter.trouble and meter.trouble.is_lasting and "x-should-retry" not in response.headers:
            # The CLI tries a refused key again for three minutes.
            advice.append((b"x-should-retry", b"false"))
        await self._start(response, advice)
        await self._send({"type": "http.response.body", "body": body})

    async def _start(self, response: httpx.Response, more: Headers) -> None:
        headers = [(name.lower(), value) for name, value in response.headers.raw]
        kept = [(name, value) for name, value in headers if name not in NOT_PASSED_BACK]
        self.started = True
        await self._send({"type": "http.response.start", "status": response.status_code, "headers": kept + more})

    def _book(self, status: int, meter: UsageMeter, *, complete: bool) -> None:
        """Once, and before the agent can know that the call is over."""
        if self._booked:
            return
        self._booked = True
        seconds = time.monotonic() - self._began
        call = ModelCall(model=meter.model, status=status, usage=meter.usage, seconds=seconds, complete=complete)
        self._lease.book(call, self._price)
        if meter.trouble is not None:
            self._note(meter.trouble)


def passed_on(headers: Headers, credential: Credential, body: bytes) -> Headers:
    """The request's headers, with the true credential in place of the token, and an answer asked for as it is."""
    kept = [(name, value) for name, value in headers if name not in NOT_PASSED_ON]
    key = credential.value.encode()
    if credential.variable == "ANTHROPIC_API_KEY":
        kept.append((b"x-api-key", key))
    else:
        kept = [(name, _with_oauth(value) if name == b"anthropic-beta" else value) for name, value in kept]
        kept.append((b"authorization", b"Bearer " + key))
    # A compressed answer could be passed on, but not metered.
    return [*kept, (b"accept-encoding", b"identity"), (b"content-length", str(len(body)).encode())]


def _with_oauth(betas: bytes) -> bytes:
    return betas if OAUTH_BETA in betas else betas + b"," + OAUTH_BETA
