"""Bounds on connections: a deadline for the head of a request, and a number of connections without a request.

Anybody may connect, without a token. A connection that has no request at work is closed when it is slow, or when many
newer ones are there; so descriptors are left for those that ask something, `/health` first of all.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""From the connection, or the first byte of a later request, to the end of a request's head: a second is plenty."""

REST_SECONDS = 5.0
"""For the rest of a body after its request was answered: without the token nobody reads it."""

MAX_IDLE = 400
"""Connections of this server that have no request at work; well below the 1,024 descriptors that many systems allow."""


def server_config(app: ASGIApp, **options: Any) -> uvicorn.Config:
    """Return the configuration of a server for `app`; `options` are uvicorn's."""
    # our own protocol is h11's: httptools stops reading at an offer of HTTP/2, which Java's client makes each time
    idle = IdleConnections(MAX_IDLE)
    http = type("ServerProtocol", (BoundedProtocol,), {"idle": idle})
    return uvicorn.Config(app, log_config=None, access_log=False, http=http, ws="none", **options)


class IdleConnections:
    """The connections of one server that have no request at work, the oldest first; closes the oldest of too many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._connections: dict[BoundedProtocol, None] = {}

    def add(self, connection: BoundedProtocol) -> None:
        """Add a connection, if it is not there."""
        if connection in self._connections:
            return
        self._connections[connection] = None
        if len(self._connections) > self._most:
            oldest = next(iter(self._connections))
            self.discard(oldest)
            oldest.transport.abort()

    def discard(self, connection: BoundedProtocol) -> None:
        """Remove a connection that has a request, or is closed."""
        self._connections.pop(connection, None)


class BoundedProtocol(H11Protocol):
    """uvicorn's protocol with deadlines; one per connection. Subclasses set `idle`, one for each server."""

    idle: IdleConnections
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the head of a request."""
        super().connection_made(transport)
        self.idle.add(self)
        self._close_after(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.idle.discard(self)
        self._set_no_deadline()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Read what has come, and set the deadline for what has not."""
        super().handle_events()
        self._set_bounds()

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of this one."""
        super().on_response_complete()
        self._set_bounds()

    def _set_bounds(self) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self.idle.discard(self)
            self._set_no_deadline()
            return
        self.idle.add(self)
        if self.conn.their_state is h11.SEND_BODY:
            self._close_after(REST_SECONDS)
        elif self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._close_after(HEAD_SECONDS)
        elif self.cycle is not None:  # uvicorn's own time for the next request
            self._set_no_deadline()

    def _close_after(self, seconds: float) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _set_no_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: some clients offer an upgrade with each request, and go on without it."""
