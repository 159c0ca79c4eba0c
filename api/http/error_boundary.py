"""Middleware: turns unhandled exceptions into an error response."""

from __future__ import annotations

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.errors import ErrorBodies

_log = logging.getLogger(__name__)


class ErrorBoundary:
    """Answers 500 for an exception that no handler knows; one per application, outside of all others but RequestId."""

    def __init__(self, app: ASGIApp, bodies: ErrorBodies) -> None:
        self._app = app
        self._bodies = bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; log an exception and answer it, unless the answer has started."""
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
            # the reason goes to the log only: it may name paths and addresses of the host
            request_id = scope.get("state", {}).get("request_id")
            _log.exception("%s %s failed; request %s", scope["method"], scope["path"], request_id)
            if started:
                raise
            await self._bodies.response(scope, error)(scope, receive, send)
