"""Middleware: answers to browsers that run a page of another origin."""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.errors import ApiError, ErrorBodies

_METHODS = ("GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE")
_SHOWN = ("x-request-id", "x-flow-run-id", "x-cost-usd", "x-repeated-failure", "x-should-retry", "retry-after")


class Cors:
    """Answers preflights, and marks the responses that a page of an allowed origin may read; one per application."""

    def __init__(self, app: ASGIApp, origins: Collection[str], bodies: ErrorBodies) -> None:
        self._app = app
        self._bodies = bodies
        # pages on the internet ask the browser's leave to reach a private address, as a laptop's service has
        self._allowing = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=_METHODS,
            allow_headers=("*",),
            allow_private_network=True,
            expose_headers=_SHOWN,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight, or pass the request on."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        origin = headers.get("origin")
        if origin is None:
            await self._app(scope, receive, send)
        elif self._allowing.is_allowed_origin(origin):
            await self._allowing(scope, receive, send)
        elif scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            error = ApiError(
                403, f"pages of {origin[:100]} are not allowed: API_CORS_ORIGINS does not name that origin"
            )
            await self._bodies.response(scope, error)(scope, receive, send)
        else:
            await self._app(scope, receive, send)
