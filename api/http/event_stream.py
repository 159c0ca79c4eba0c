"""Server-sent events: encoding, headers, heartbeat."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.http.disconnect import ClientDisconnected, cancel_on_disconnect

COMMENT = b": the run is in progress\n\n"
"""The heartbeat of a job's events: browsers skip comments, and proxies see that the connection is in use."""

_HEADERS = {
    "cache-control": "no-cache",
    # nginx would collect the events otherwise
    "x-accel-buffering": "no",
}


class EventStream(Response):
    """A response that sends `events` until they end or the client disconnects; one per request.

    `on_end` is called once, with True if the client received all of them.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[bytes],
        headers: Mapping[str, str],
        on_end: Callable[[bool], None] = lambda _complete: None,
    ) -> None:
        self.status_code = 200
        self.background = None
        self._events = events
        self._on_end = on_end
        self.init_headers({**_HEADERS, **headers})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events; cancel their generator if the client disconnects."""
        complete = False
        try:
            await cancel_on_disconnect(receive, self._send(send))
            complete = True
        except ClientDisconnected:
            return
        finally:
            self._on_end(complete)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with aclosing(self._events) as events:
            async for event in events:
                await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def encode_event(value: Any, *, type: str | None = None, id: int | None = None) -> bytes:
    """Return an event with a JSON value as its data."""
    # one `data` line is enough: JSON escapes line feeds and carriage returns, the only line ends of the format
    head = (f"id: {id}\n" if id is not None else "") + (f"event: {type}\n" if type is not None else "")
    return head.encode() + b"data: " + to_json(value) + b"\n\n"
