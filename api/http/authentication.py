"""Who gets in: whoever has the token, before anything of the request's body is read."""

from __future__ import annotations

import hmac
from collections.abc import Collection
from hashlib import sha256

from pydantic import SecretStr
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.errors import ApiError, ErrorBodies

OPEN_PATHS = frozenset({"/health", "/ready", "/docs", "/docs/oauth2-redirect", "/openapi.json"})


class Authentication:
    """Lets through what carries the token, and what asks for an open path; everything else is answered with 401."""

    def __init__(
        self, app: ASGIApp, token: SecretStr | None, bodies: ErrorBodies, open_paths: Collection[str] = OPEN_PATHS
    ) -> None:
        self._app = app
        self._token = token.get_secret_value().encode() if token else b""
        self._bodies = bodies
        self._open_paths = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
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
        """Why this request does not get in."""
        if not self._token.strip():
            return "Service unauthenticated"
        given = bearer_token(scope)
        if not given:
            return "Missing bearer token"
        return None if _equal(given, self._token) else "Invalid token"


def bearer_token(scope: Scope) -> bytes:
    """The bytes after `Bearer` in the request's Authorization header, empty without any."""
    header: bytes = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    scheme, _, token = header.strip().partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""


def _equal(given: bytes, token: bytes) -> bool:
    """Whether they are the same, in a time that tells nothing of the token, nor of its length."""
    return hmac.compare_digest(sha256(given).digest(), sha256(token.strip()).digest())
