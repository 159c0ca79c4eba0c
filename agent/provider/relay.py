"""Forwards one model call and streams the answer back unchanged."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any, Protocol

import httpx

from agent.domain.result import Usage
from agent.provider.credential import Credential
from agent.provider.failures import ProviderFailure, read_trouble
from agent.provider.lease import Lease
from agent.provider.pricing import CallUsage
from agent.provider.requests.model_request import ExpectedUse
from agent.provider.usage_meter import ModelCall, UsageMeter
from agent.system.http import HOP_BY_HOP

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
Price = Callable[[str, Usage], float | None]
"""The US dollars of a call; None: the model is not known, and the call not counted."""

OAUTH_BETA = b"oauth-2025-04-20"
"""What the CLI adds to `anthropic-beta` when it has an OAuth token (2.1.330)."""

NOT_PASSED_ON = HOP_BY_HOP | frozenset(
    b"transfer-encoding host x-api-key authorization cookie accept-encoding content-length".split()
)
NOT_PASSED_BACK = HOP_BY_HOP | {b"transfer-encoding", b"set-cookie"}
ERROR_BYTES = 65_536
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
"""Errors of a call that never reached the provider."""


class RelayObserver(Protocol):
    """Observer of what the provider answers to the calls of all runs; implemented by the proxy."""

    async def confirm(self, lease: Lease, trouble: ProviderFailure) -> ProviderFailure:
        """Return the failure with its true scope."""

    def on_trouble(self, lease: Lease, trouble: ProviderFailure) -> None:
        """Note a failure of a call of the lease."""

    def on_answer(self, began_at: datetime) -> None:
        """Note that the provider answers a call that began at this time."""


class Relay:
    """One call to the provider, made once for each; `expected` is None for one that costs nothing.

    `started` is True once the answer has begun.
    """

    def __init__(
        self,
        lease: Lease,
        expected: ExpectedUse | None,
        send: Send,
        price: Price,
        observer: RelayObserver,
    ) -> None:
        self.started = False
        self._lease = lease
        self._expected = expected
        self._send = send
        self._price = price
        self._observer = observer
        self._began_at = datetime.now(UTC)
        self._began = time.monotonic()
        self._booked = False

    async def run(self, transport: httpx.AsyncBaseTransport, request: httpx.Request) -> None:
        """Ask once the budget has room, and pass the answer on chunk by chunk.

        Raises BudgetSpent, and httpx.TransportError as the transport does.
        """
        expected = self._expected
        await self._lease.budget.reserve(
            self, self._dollars(expected.model, expected.reserved()) if expected is not None else 0.0
        )
        self._began, self._began_at = time.monotonic(), datetime.now(UTC)
        meter = UsageMeter("", "")
        status = 0
        try:
            response = await transport.handle_async_request(request)
            status = response.status_code
            meter = UsageMeter(response.headers.get("content-type", ""), response.headers.get("content-encoding", ""))
            try:
                await (self._fail if status >= 400 else self._stream)(response, meter)
            finally:
                self._book(status, meter, complete=False)
                await response.aclose()
        except NOT_SENT:
            self._booked = True
            raise
        finally:
            self._book(status, meter, complete=False)
            self._lease.budget.settle(self, 0.0)

    async def _stream(self, response: httpx.Response, meter: UsageMeter) -> None:
        if self._expected is not None:
            self._lease.trouble = None
            self._observer.on_answer(self._began_at)
        await self._start(response, [])
        async for chunk in response.stream:  # type: ignore[union-attr]
            meter.feed(chunk)
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        meter.finish()
        self._book(response.status_code, meter, complete=True)
        await self._send({"type": "http.response.body", "body": b""})

    async def _fail(self, response: httpx.Response, meter: UsageMeter) -> None:
        """Read an error whole before it is passed on: what it says decides if the CLI should try again."""
        body = b"".join([chunk async for chunk in response.stream])  # type: ignore[union-attr]
        model = self._expected.model if self._expected else None
        trouble = read_trouble(response.status_code, response.headers, body[:ERROR_BYTES], model=model or None)
        # the CLI ends upon what follows, and the run is judged by whom the refusal is for
        meter.trouble = await self._observer.confirm(self._lease, trouble) if trouble is not None else None
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
        """Enter the call once, and before the agent can know that it is over."""
        if self._booked:
            return
        self._booked = True
        seconds = time.monotonic() - self._began
        usage, dollars = self._account(status, meter, seconds, complete=complete)
        model = meter.model or (self._expected.model if self._expected else None) or None
        call = ModelCall(model=model, status=status, usage=usage, seconds=seconds, complete=complete, cost_usd=dollars)
        self._lease.book(call)
        self._lease.budget.settle(self, dollars)
        if meter.trouble is not None:
            self._observer.on_trouble(self._lease, meter.trouble)

    def _account(self, status: int, meter: UsageMeter, seconds: float, *, complete: bool) -> tuple[Usage, float]:
        """Return the tokens and the US dollars of the call; one that has not told its own costs an estimate."""
        expected = self._expected
        if expected is None or status >= 400:
            return meter.usage, 0.0
        if complete and meter.is_known:
            parts = meter.parts
        else:
            parts = [(meter.model, self._estimate(expected, meter, seconds))]
        usage = Usage(**{name: getattr(parts[0][1], name) for name in Usage.model_fields})
        return usage, sum(self._dollars(model or expected.model, part) for model, part in parts)

    def _estimate(self, expected: ExpectedUse, meter: UsageMeter, seconds: float) -> CallUsage:
        """Return what a call has used that broke off, or whose answer could not be read."""
        _, so_far = meter.parts[0]
        written = max(so_far.output_tokens, expected.output_tokens_after(meter.answered_bytes, seconds))
        read = {} if meter.is_known else {"input_tokens": expected.input_tokens}
        return so_far.model_copy(update={"output_tokens": written, **read})

    def _dollars(self, model: str, usage: Usage) -> float:
        return self._price(model, usage) or 0.0


def passed_on(headers: Headers, credential: Credential, body: bytes) -> Headers:
    """Return the request's headers with the true credential in place of the token, and for a plain answer."""
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
