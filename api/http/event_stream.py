"""Server-sent events, sent for as long as somebody listens."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.http.disconnect import ClientGone, while_connected

COMMENT = b": still at work\n\n"
"""Means nothing to a client; proxies see that the line is alive."""

_HEADERS = {
    "cache-control": "no-cache",
    # nginx would collect the events otherwise
    "x-accel-buffering": "no",
}


class EventStream(Response):
    """Sends `events`, and says at the end whether the client was there to hear the last of them."""

    media_type = "text/event-stream"

    def __init__(
        self, events: AsyncGenerator[bytes], headers: Mapping[str, str], ended: Callable[[bool], None]
    ) -> None:
        self.status_code = 200
        self.background = None
        self._events = events
        self._ended = ended
        self.init_headers({**_HEADERS, **headers})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it all, unless the client goes away."""
        heard = False
        try:
            await while_connected(receive, self._send(send))
            heard = True
        except ClientGone:
            return
        finally:
            self._ended(heard)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with aclosing(self._events) as events:
            async for event in events:
                await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def data(value: Any) -> bytes:
    """An event that carries a JSON value."""
    return b"data: " + to_json(value) + b"\n\n"
