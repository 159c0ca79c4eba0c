"""Loopback proxy to the model provider: agents hold a lease token, never the credential."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from functools import partial
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import uvicorn

from agent.domain.errors import NotConfigured
from agent.provider.budget import BudgetSpent
from agent.provider.credential import Credential, find_credential
from agent.provider.failures import ProviderFailure
from agent.provider.lease import Lease
from agent.provider.model_request import ExpectedUse, Unreadable, read_model_request
from agent.provider.pricing import PriceTable
from agent.provider.refused_call import RefusedCall
from agent.provider.relay import Price, Relay, Send, passed_on
from agent.provider.request_policy import MESSAGES, RequestPolicy
from agent.provider.traffic import LONGEST_REQUEST_BYTES, CallTraffic
from agent.settings import AgentSettings
from agent.system.certificates import trusted_authorities
from agent.system.proxies import BadProxy, proxy_for

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

PROVIDER_URL = "https://api.anthropic.com"
READ_ASIDE_BYTES = 1024 * 1024  # a longer request is parsed in a thread, so that other runs go on meanwhile
# The CLI waits 600 s for a byte; it should be the one to give up.
TIMEOUT = httpx.Timeout(connect=10, read=610, write=60, pool=None)
LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=32, keepalive_expiry=30)
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
        price: Price | None = None,
        socket_path: Path | None = None,
    ) -> None:
        variable, value = find_credential(settings)
        self._upstream = (settings.anthropic_base_url or PROVIDER_URL).rstrip("/")
        self.credential = Credential(variable=variable, value=value, base_url=self._upstream)
        self._on_trouble = on_trouble
        prices = PriceTable(settings.model_prices)
        self._price: Price = price or prices.cost
        self._policy = RequestPolicy(settings, prices)
        self._socket_path = socket_path or settings.provider_socket
        self._leases: dict[str, Lease] = {}
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._transport = _transport(self._upstream)
        self._server = _Server(self)
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
        sockets = [self._listener, *([_unix_listener(self._socket_path)] if self._socket_path else [])]
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
        lease = self._leases.get(_token(scope["headers"]))
        if lease is None or not lease.is_good:
            await _read_body(receive, None)
            await _refuse(send, 401, "authentication_error", NOT_NOW)
            return
        with lease.traffic.call() as traffic:
            body = await _read_body(receive, traffic)
            try:
                request, expected = await self._judge(lease, scope, body, traffic)
            except RefusedCall as refusal:
                self._tell(lease, refusal)
                await _refuse(send, refusal.status, refusal.kind, str(refusal), retry=refusal.status == 429)
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
        relay = Relay(lease, expected, send, self._price, partial(self._note, lease))
        call = asyncio.create_task(relay.run(self._transport, request))
        lease.track(call)
        gone = asyncio.create_task(_hung_up(receive))
        try:
            await asyncio.wait({call, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            left = gone.done()
            for task in (call, gone):
                task.cancel()
            await asyncio.wait({call, gone})
        failure = None if call.cancelled() else call.exception()
        if isinstance(failure, BudgetSpent):
            await _refuse(send, 403, "permission_error", SPENT)
            return
        if failure is not None and not isinstance(failure, httpx.TransportError):
            raise failure
        trouble = _unreachable(failure) if failure is not None else None
        if trouble is not None:
            self._note(lease, trouble)
        if relay.started and (trouble is not None or call.cancelled()):
            await self._break_off(scope)
        elif trouble is not None:
            await _refuse(send, 502, "api_error", trouble.message, retry=True)
        elif call.cancelled() and not left:
            await _refuse(send, 401, "authentication_error", NOT_NOW)

    def _note(self, lease: Lease, trouble: ProviderFailure) -> None:
        lease.trouble = trouble
        if self._on_trouble is not None:
            self._on_trouble(trouble)

    async def _break_off(self, scope: Scope) -> None:
        """Cut the connection: an answer that ends too soon must not look like a whole one."""
        for connection in list(self._server.server_state.connections):
            if getattr(connection, "scope", None) is scope:
                connection.transport.abort()
        await asyncio.sleep(0)


class _Server(uvicorn.Server):
    """uvicorn as a guest in a loop that is not its own: signals and the end are the host's affair."""

    def __init__(self, app: ProviderProxy) -> None:
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=600,
        )
        super().__init__(config)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def _transport(upstream: str) -> httpx.AsyncHTTPTransport:
    """Return a bare transport, for a client would keep cookies from one run to the next; by the operator's proxy."""
    try:
        proxy = proxy_for(upstream, os.environ)
    except BadProxy as error:
        raise NotConfigured(str(error), "correct it") from None
    verify = trusted_authorities(os.environ) if upstream.startswith("https:") else False
    return httpx.AsyncHTTPTransport(verify=verify, limits=LIMITS, retries=1, proxy=proxy)


def _unix_listener(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        # by this way the path of STATE_DIR may be longer than that of a socket may be
        listener.bind(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)
    path.chmod(0o600)
    listener.listen(1024)
    return listener


def _token(headers: list[tuple[bytes, bytes]]) -> str:
    """What the CLI shows: a key, or a bearer token."""
    shown = dict(headers)
    scheme, _, token = shown.get(b"authorization", b"").partition(b" ")
    key = shown.get(b"x-api-key") or (token if scheme.lower() == b"bearer" else b"")
    return key.decode("latin-1").strip()


async def _read_body(receive: Receive, traffic: CallTraffic | None) -> bytes | None:
    """Return the whole body; None if there is no room for it, or if nobody is there any more.

    It is read to its end even so: a client that still sends does not read an answer.
    """
    chunks: list[bytes] = []
    fits, more = traffic is not None, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        fits = fits and traffic is not None and traffic.take(len(chunk))
        if fits:
            chunks.append(chunk)
        elif chunks:
            chunks.clear()
        more = message.get("more_body", False)
    return b"".join(chunks) if fits else None


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _refuse(send: Send, status: int, kind: str, message: str, *, retry: bool = False) -> None:
    """An error in the provider's own shape; the CLI repeats even a 401 for minutes unless it is told not to."""
    body = json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if not retry:
        headers.append((b"x-should-retry", b"false"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _unreachable(failure: BaseException) -> ProviderFailure:
    reason = " ".join(str(failure).split()) or type(failure).__name__
    return ProviderFailure(kind="unreachable", status=None, message=f"the provider is out of reach: {reason[:200]}")
