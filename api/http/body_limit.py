"""A bound on request bodies, kept while they are read."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.errors import ApiError, ErrorBodies


class BodyLimit:
    """Answers 413 as soon as a body is known to be too long, announced or not; the rest of it is never kept."""

    def __init__(self, app: ASGIApp, max_bytes: int, bodies: ErrorBodies) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._bodies = bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _announced(scope) > self._max_bytes:
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
        # No `connection: close`: the server would reset the connection while the rest of the body is on its way,
        # and most clients would see that instead of this answer.
        return ApiError(413, f"request body too large: at most {self._max_bytes} bytes are taken")


def _announced(scope: Scope) -> int:
    length = Headers(scope=scope).get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0
