"""Parses the request line and headers of a proxied HTTP request."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11

from agent.egress.allowlist import NAME, Destination
from agent.system.addresses import read_address
from agent.system.http import HOP_BY_HOP

HEAD_BYTES = 65_536
"""The longest head of a request."""

_NOT_PASSED_ON = HOP_BY_HOP | {b"expect", b"host"}


class BadRequest(Exception):
    """What was asked is no request for a proxy; the message says why."""


@dataclass
class ProxyRequest:
    """One request: a tunnel to a destination, or a message for it."""

    destination: Destination
    connection: h11.Connection
    rest: bytes = b""
    message: h11.Request | None = None

    @property
    def is_tunnel(self) -> bool:
        """True if bytes go both ways unread (CONNECT)."""
        return self.message is None


async def read_request(reader: asyncio.StreamReader) -> ProxyRequest:
    """Read the head of a request; raises BadRequest, or EOFError when there is none."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
    try:
        head = await _next(connection, reader)
    except h11.RemoteProtocolError as error:
        raise BadRequest(f"no HTTP request: {error}") from error
    if not isinstance(head, h11.Request):
        raise EOFError
    target = head.target.decode("ascii", "replace")
    if head.method == b"CONNECT":
        connection.next_event()  # says that what follows is no HTTP, and with it where that begins
        return ProxyRequest(_destination(f"//{target}", None), connection, rest=connection.trailing_data[0])
    if not target.lower().startswith("http://"):
        raise BadRequest("a proxy is asked by CONNECT host:port, or for http://host/path")
    destination = _destination(target, 80)
    return ProxyRequest(destination, connection, message=_passed_on(head, target, destination))


async def copy_body(asked: ProxyRequest, reader: asyncio.StreamReader, away: asyncio.StreamWriter) -> None:
    """Say the message at its destination, with the body as it comes."""
    assert asked.message is not None
    there = h11.Connection(h11.CLIENT)
    away.write(there.send(asked.message) or b"")
    while True:
        event = await _next(asked.connection, reader)
        if not isinstance(event, h11.Data | h11.EndOfMessage):
            raise EOFError
        away.write(there.send(event) or b"")
        await away.drain()
        if isinstance(event, h11.EndOfMessage):
            return


async def _next(connection: h11.Connection, reader: asyncio.StreamReader) -> object:
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await reader.read(HEAD_BYTES))
    return event


def _destination(url: str, port: int | None) -> Destination:
    """Raises BadRequest for a host or a port that is none."""
    try:
        place = urlsplit(url)
        host, found = (place.hostname or "").rstrip("."), place.port or port
    except ValueError as error:
        raise BadRequest(f"no host and port: {error}") from error
    if not found or place.username is not None or (port is None and url != f"//{place.netloc}"):
        raise BadRequest("what is asked for is host:port, or http://host/path without a user")
    if read_address(host) is None and not NAME.fullmatch(host):
        raise BadRequest("the host is neither a name nor an address")
    return Destination(host, found)


def _passed_on(head: h11.Request, url: str, destination: Destination) -> h11.Request:
    """Return the same request as its destination expects it, and no other after it on the same connection."""
    named = {name.strip().lower() for name in dict(head.headers).get(b"connection", b"").split(b",")}
    dropped = _NOT_PASSED_ON | named - {b"transfer-encoding", b"content-length"}
    if b"transfer-encoding" in dict(head.headers):
        dropped |= {b"content-length"}
    kept = [(name, value) for name, value in head.headers if name not in dropped]
    host = str(destination).removesuffix(":80").encode()
    place = urlsplit(url)
    path = (place.path or "/") + (f"?{place.query}" if place.query else "")
    return h11.Request(method=head.method, target=path, headers=[(b"host", host), *kept, (b"connection", b"close")])
