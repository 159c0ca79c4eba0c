"""Loopback proxy to the model provider: agents hold a lease token, never the credential."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from functools import partial
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import uvicorn

from agent.domain.errors import NotConfigured
from agent.provider.credential import Credential, find_credential
from agent.provider.failures import ProviderFailure
from agent.provider.lease import Lease, Price
from agent.provider.relay import Relay, Send, passed_on
from agent.settings import AgentSettings
from agent.system.certificates import trusted_authorities
from agent.system.proxies import BadProxy, proxy_for

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

PROVIDER_URL = "https://api.anthropic.com"
FORWARDED = re.compile(rb"/v1/messages(/count_tokens)?|/v1/models(/\w[\w.@:-]*)?|/api/hello")
"""Nothing else of the account is an agent's business: not its files, not its batches, which nobody meters."""

LONGEST_REQUEST_BYTES = 64 * 1024 * 1024
# The CLI waits 600 s for a byte; it should be the one to give up.
TIMEOUT = httpx.Timeout(connect=10, read=610, write=60, pool=None)
LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=32, keepalive_expiry=30)
NOT_NOW = "this token is for one run, and that run is not now"


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
        self._price = price
        self._socket_path = socket_path or settings.provider_socket
        self._leases: dict[str, Lease] = {}
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._transport = _transport(self._upstream)
        self._server = _Server(self)
        self._serving: asyncio.Task[None] | None = None

    def lease(self, run_id: str, max_budget_usd: float | None = None) -> Lease:
        """A token for one run, and where to use it."""
        lease = Lease(
            run_id,
            self.url,
            self.credential.variable,
            first_party=urlsplit(self._upstream).hostname == urlsplit(PROVIDER_URL).hostname,
            max_budget_usd=max_budget_usd,
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
        allowed = lease is not None and lease.is_good
        body = await _read_body(receive, LONGEST_REQUEST_BYTES if allowed else 0)
        if lease is None or not lease.is_good:
            await _refuse(send, 401, "authentication_error", NOT_NOW)
        elif body is None:
            await _refuse(send, 413, "request_too_large", f"a request has at most {LONGEST_REQUEST_BYTES} bytes")
        elif not FORWARDED.fullmatch(scope["raw_path"]):
            await _refuse(send, 404, "not_found_error", "this path is not for agents")
        elif lease.is_used_up:
            await _refuse(send, 403, "permission_error", "this run's budget is spent")
        else:
            await self._pass_on(lease, self._request(scope, body), scope, receive, send)

    def _request(self, scope: Scope, body: bytes) -> httpx.Request:
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        return httpx.Request(
            scope["method"],
            self._upstream + target.decode("ascii"),
            headers=passed_on(scope["headers"], self.credential, body),
            content=body,
            extensions={"timeout": TIMEOUT.as_dict()},
        )

    async def _pass_on(self, lease: Lease, request: httpx.Request, scope: Scope, receive: Receive, send: Send) -> None:
        """Relay until the answer is over, the agent hangs up, or the lease is cut."""
        relay = Relay(lease, send, self._price, partial(self._note, lease))
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


async def _read_body(receive: Receive, most: int) -> bytes | None:
    """The whole body; None if it is longer than `most`, or if nobody is there any more.

    It is read to its end even so: who still sends does not hear an answer.
    """
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        if len(body) <= most:
            body += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(body) if len(body) <= most else None


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
