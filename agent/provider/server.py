"""The HTTP server of the provider proxy: sockets, request bodies and refusals; knows nothing of leases."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn

from agent.provider.relay import Send
from agent.provider.traffic import CallTraffic

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class LoopbackServer(uvicorn.Server):
    """uvicorn as a guest in a loop that is not its own: signals and the end are the host's affair."""

    def __init__(self, app: Any) -> None:
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


def unix_listener(path: Path) -> socket.socket:
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


def read_token(headers: list[tuple[bytes, bytes]]) -> str:
    """Return what the CLI authenticates with: a key, or a bearer token."""
    shown = dict(headers)
    scheme, _, token = shown.get(b"authorization", b"").partition(b" ")
    key = shown.get(b"x-api-key") or (token if scheme.lower() == b"bearer" else b"")
    return key.decode("latin-1").strip()


async def read_body(receive: Receive, traffic: CallTraffic | None) -> bytes | None:
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


async def wait_for_hang_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def send_error(send: Send, status: int, kind: str, message: str, *, retry: bool = False) -> None:
    """Send an error in the provider's own shape; the CLI repeats even a 401 for minutes unless it is told not to."""
    body = json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if not retry:
        headers.append((b"x-should-retry", b"false"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
