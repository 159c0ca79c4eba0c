"""Loopback proxy to the model provider: agents hold a lease token, never the credential."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, MutableMapping
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from agent.domain.errors import NotConfigured
from agent.provider.budget import BudgetSpent
from agent.provider.credential import Credential, find_credential
from agent.provider.failures import ProviderFailure
from agent.provider.lease import Lease
from agent.provider.pricing import PriceTable
from agent.provider.refusal_scope import RefusalScope, Verdict
from agent.provider.relay import Price, Relay, Send, passed_on
from agent.provider.requests.model_request import ExpectedUse, Unreadable, read_model_request
from agent.provider.requests.refused_call import RefusedCall
from agent.provider.requests.request_policy import MESSAGES, RequestPolicy
from agent.provider.server import (
    LoopbackServer,
    Receive,
    read_body,
    read_token,
    send_error,
    unix_listener,
    wait_for_hang_up,
)
from agent.provider.traffic import LONGEST_REQUEST_BYTES, CallTraffic
from agent.settings import AgentSettings
from agent.system.certificates import trusted_authorities
from agent.system.proxies import BadProxy, proxy_for

Scope = MutableMapping[str, Any]

PROVIDER_URL = "https://api.anthropic.com"
READ_ASIDE_BYTES = 1024 * 1024  # a longer request is parsed in a thread, so that other runs go on meanwhile
# The CLI waits 600 s for a byte; it should be the one to give up.
TIMEOUT = httpx.Timeout(connect=10, read=610, write=60, pool=None)
LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=32, keepalive_expiry=30)
PROBE_SECONDS = 5.0
SPENT = "this run's budget is spent"
NOT_NOW = "this token is for one run, and that run is not now"


_log = logging.getLogger(__name__)


class ProviderProxy:
    """Open for as long as the host runs agents; raises NotConfigured when there is no credential."""

    def __init__(
        self,
        settings: AgentSettings,
        *,
        on_trouble: Callable[[ProviderFailure], None] | None = None,
        on_answer: Callable[[datetime], None] | None = None,
        price: Price | None = None,
        socket_path: Path | None = None,
    ) -> None:
        variable, value = find_credential(settings)
        self._upstream = (settings.anthropic_base_url or PROVIDER_URL).rstrip("/")
        self.credential = Credential(variable=variable, value=value, base_url=self._upstream)
        self._on_trouble = on_trouble
        self._on_answer = on_answer
        self._scope = RefusalScope(self.probe)
        prices = PriceTable(settings.model_prices)
        self._price: Price = price or prices.cost
        self._policy = RequestPolicy(settings, prices)
        self._socket_path = socket_path or settings.provider_socket
        self._leases: dict[str, Lease] = {}
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._transport = _transport(self._upstream)
        self._server = LoopbackServer(self)
        self._serving: asyncio.Task[None] | None = None

    def lease(
        self, run_id: str, max_budget_usd: float | None = None, model: str | None = None, *, offline: bool = False
    ) -> Lease:
        """Return a token for one run, and where to use it.

        `model` is the one that the run's caller asked for; an `offline` run has no network, whatever AGENT_NETWORK.
        """
        lease = Lease(
            run_id,
            self.url,
            self.credential.variable,
            first_party=urlsplit(self._upstream).hostname == urlsplit(PROVIDER_URL).hostname,
            max_budget_usd=max_budget_usd,
            model=model,
            offline=offline,
        )
        self._leases = {token: other for token, other in self._leases.items() if other.is_good}
        self._leases[lease.token] = lease
        return lease

    async def __aenter__(self) -> Self:
        sockets = [self._listener, *([unix_listener(self._socket_path)] if self._socket_path else [])]
        self._serving = asyncio.create_task(self._server.serve(sockets=sockets), name="provider-proxy")
        return self

    async def __aexit__(self, *_: object) -> None:
        for lease in self._leases.values():
            lease.cut()
        self._server.should_exit = True
        if self._serving is not None:
            await asyncio.wait({self._serving}, timeout=5)
        self._listener.close()
        await self._transport.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of an agent."""
        lease = self._leases.get(read_token(scope["headers"]))
        if lease is None or not lease.is_good:
            await read_body(receive, None)
            await send_error(send, 401, "authentication_error", NOT_NOW)
            return
        with lease.traffic.call() as traffic:
            body = await read_body(receive, traffic)
            try:
                request, expected = await self._judge(lease, scope, body, traffic)
            except RefusedCall as refusal:
                self._tell(lease, refusal)
                await send_error(send, refusal.status, refusal.kind, str(refusal), retry=refusal.status == 429)
                return
            del body
            await self._pass_on(lease, request, expected, scope, receive, send)

    async def _judge(
        self, lease: Lease, scope: Scope, body: bytes | None, traffic: CallTraffic
    ) -> tuple[httpx.Request, ExpectedUse | None]:
        """Return the request to pass on and what it will use, None where that costs nothing. Raises RefusedCall."""
        path = scope["raw_path"]
        if not traffic.is_admitted:
            raise RefusedCall(traffic.refusal, status=429, kind="rate_limit_error")
        if body is None:
            raise RefusedCall(f"a request has at most {LONGEST_REQUEST_BYTES} bytes", status=413)
        self._policy.check_target(scope["method"], path)
        self._policy.check_headers(scope["headers"])
        if not MESSAGES.fullmatch(path):
            if body:
                raise RefusedCall("a request of this path has no body")
            return self._request(scope, body), None
        if lease.budget.is_spent:
            raise RefusedCall(SPENT)
        if len(body) > READ_ASIDE_BYTES:
            expected = await asyncio.to_thread(self._read, body, lease)
        else:
            expected = self._read(body, lease)
        return self._request(scope, body), None if path.endswith(b"/count_tokens") else expected

    def _read(self, body: bytes, lease: Lease) -> ExpectedUse:
        try:
            request = read_model_request(body)
        except Unreadable as error:
            raise RefusedCall(str(error), status=400, kind="invalid_request_error") from None
        self._policy.check(request, lease.model, offline=lease.offline)
        return request.expected()

    def _tell(self, lease: Lease, refusal: RefusedCall) -> None:
        if str(refusal) != SPENT and lease.refuse(str(refusal)):
            _log.warning("run %s: a call to the provider was refused: %s", lease.run_id, refusal)

    def _request(self, scope: Scope, body: bytes) -> httpx.Request:
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        return httpx.Request(
            scope["method"],
            self._upstream + target.decode("ascii"),
            headers=passed_on(scope["headers"], self.credential, body),
            content=body,
            extensions={"timeout": TIMEOUT.as_dict()},
        )

    async def _pass_on(
        self,
        lease: Lease,
        request: httpx.Request,
        expected: ExpectedUse | None,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Relay until the answer is over, the agent hangs up, or the lease is cut."""
        relay = Relay(lease, expected, send, self._price, self)
        call = asyncio.create_task(relay.run(self._transport, request))
        lease.track(call)
        gone = asyncio.create_task(wait_for_hang_up(receive))
        try:
            await asyncio.wait({call, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            left = gone.done()
            for task in (call, gone):
                task.cancel()
            await asyncio.wait({call, gone})
        failure = None if call.cancelled() else call.exception()
        if isinstance(failure, BudgetSpent):
            await send_error(send, 403, "permission_error", SPENT)
            return
        if failure is not None and not isinstance(failure, httpx.TransportError):
            raise failure
        trouble = _unreachable(failure) if failure is not None else None
        if trouble is not None:
            self.on_trouble(lease, trouble)
        if relay.started and (trouble is not None or call.cancelled()):
            await self._break_off(scope)
        elif trouble is not None:
            await send_error(send, 502, "api_error", trouble.message, retry=True)
        elif call.cancelled() and not left:
            await send_error(send, 401, "authentication_error", NOT_NOW)

    async def confirm(self, lease: Lease, trouble: ProviderFailure) -> ProviderFailure:
        """Return the failure with its true scope: one run's own, or everybody's."""
        return await self._scope.confirm(lease.run_id, trouble)

    def on_trouble(self, lease: Lease, trouble: ProviderFailure) -> None:
        """Note a failure of a call of the lease."""
        lease.trouble = trouble
        if self._on_trouble is not None:
            self._on_trouble(trouble)

    def on_answer(self, began_at: datetime) -> None:
        """Note that the provider answers a call that began at this time."""
        self._scope.on_answer()
        if self._on_answer is not None:
            self._on_answer(began_at)

    async def probe(self) -> Verdict:
        """Ask the provider for a list of models, which costs nothing, with the credential of the host."""
        headers = [(b"anthropic-version", b"2023-06-01"), *passed_on([], self.credential, b"")]
        request = httpx.Request(
            "GET",
            f"{self._upstream}/v1/models?limit=1",
            headers=headers,
            extensions={"timeout": httpx.Timeout(PROBE_SECONDS).as_dict()},
        )
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                response = await self._transport.handle_async_request(request)
                await response.aclose()
        except (httpx.TransportError, TimeoutError):
            return "unreachable"
        if response.status_code in (401, 403):
            return "refused"
        return "accepted" if response.is_success else "unknown"

    async def _break_off(self, scope: Scope) -> None:
        """Cut the connection: an answer that ends too soon must not look like a whole one."""
        for connection in list(self._server.server_state.connections):
            if getattr(connection, "scope", None) is scope:
                connection.transport.abort()
        await asyncio.sleep(0)


def _transport(upstream: str) -> httpx.AsyncHTTPTransport:
    """Return a bare transport, for a client would keep cookies from one run to the next; by the operator's proxy."""
    try:
        proxy = proxy_for(upstream, os.environ)
    except BadProxy as error:
        raise NotConfigured(str(error), "correct it") from None
    verify = trusted_authorities(os.environ) if upstream.startswith("https:") else False
    return httpx.AsyncHTTPTransport(verify=verify, limits=LIMITS, retries=1, proxy=proxy)


def _unreachable(failure: BaseException) -> ProviderFailure:
    reason = " ".join(str(failure).split()) or type(failure).__name__
    return ProviderFailure(kind="unreachable", status=None, message=f"the provider is out of reach: {reason[:200]}")
