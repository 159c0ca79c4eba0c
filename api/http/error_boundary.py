"""The last resort of a request: an answer, whatever happened."""

from __future__ import annotations

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.errors import ErrorBodies

_log = logging.getLogger(__name__)


class ErrorBoundary:
    """Answers 500 for whatever nobody expected; the log has the reason, the caller has not."""

    def __init__(self, app: ASGIApp, bodies: ErrorBodies) -> None:
        self._app = app
        self._bodies = bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and answer for it if need be."""
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:
            if scope["type"] != "http":
                raise
            request_id = scope.get("state", {}).get("request_id")
            _log.exception("%s %s failed; request %s", scope["method"], scope["path"], request_id)
            if started:
                raise
            await self._bodies.response(scope, error)(scope, receive, send)
