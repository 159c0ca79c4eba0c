"""Bearer-token authentication middleware."""

from __future__ import annotations

import hmac
from collections.abc import Collection
from hashlib import sha256

from pydantic import SecretStr
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.errors import ApiError, ErrorBodies

OPEN_PATHS = frozenset({"/health", "/ready", "/docs", "/openapi.json"})


class Authentication:
    """Passes on requests with the token, and requests for open paths; answers all others with 401.

    One per application. The body of a refused request is not read.
    """

    def __init__(
        self, app: ASGIApp, token: SecretStr | None, bodies: ErrorBodies, open_paths: Collection[str] = OPEN_PATHS
    ) -> None:
        self._app = app
        self._token = token.get_secret_value().encode() if token else b""
        self._bodies = bodies
        self._open_paths = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401."""
        if scope["type"] != "http" or scope["path"] in self._open_paths:
            await self._app(scope, receive, send)
            return
        reason = self._refusal(scope)
        if reason is None:
            await self._app(scope, receive, send)
            return
        error = ApiError(401, reason, headers={"www-authenticate": "Bearer"})
        await self._bodies.response(scope, error)(scope, receive, send)

    def _refusal(self, scope: Scope) -> str | None:
        """Return why the request is refused, or None."""
        if not self._token.strip():
            return "Service unauthenticated"
        given = bearer_token(scope)
        if not given:
            return "Missing bearer token"
        return None if _equal(given, self._token) else "Invalid token"


def bearer_token(scope: Scope) -> bytes:
    """Return the bytes after `Bearer` in the Authorization header; empty without such a header."""
    header: bytes = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    scheme, _, token = header.strip().partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""


def _equal(given: bytes, token: bytes) -> bool:
    """True if both are equal."""
    # equal lengths and a comparison in constant time: the time of an answer says nothing about the token
    return hmac.compare_digest(sha256(given).digest(), sha256(token.strip()).digest())
