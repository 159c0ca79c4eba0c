"""Middleware: limit on the size of request bodies."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.errors import ApiError, ErrorBodies


class BodyLimit:
    """Answers 413 if the announced length, or the bytes read so far, exceed the limit; one per application."""

    def __init__(self, app: ASGIApp, max_bytes: int, bodies: ErrorBodies) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._bodies = bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and count the bytes of its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _announced_length(scope) > self._max_bytes:
            await self._bodies.response(scope, self._too_large())(scope, receive, send)
            return
        read = 0

        async def receiving() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._max_bytes:
                raise self._too_large()
            return message

        await self._app(scope, receiving, send)

    def _too_large(self) -> ApiError:
        # no `connection: close`: the server would reset the connection while the client still sends the body, and
        # most clients would report the reset instead of this answer
        return ApiError(413, f"request body too large: the limit is {self._max_bytes} bytes (MAX_REQUEST_BYTES)")


def _announced_length(scope: Scope) -> int:
    length = Headers(scope=scope).get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0
