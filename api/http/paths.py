"""Middleware: HEAD wherever GET, trailing slashes, empty path segments; and the answer for a path that is not there."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SLASHES = re.compile(r"/{2,}")

_INSTEAD = {
    "responses": "the Responses API",
    "completions": "text completion",
    "embeddings": "embedding",
    "images": "image generation",
    "audio": "audio",
    "moderations": "moderation",
    "assistants": "the Assistants API",
    "threads": "the Assistants API",
    "files": "file upload",
    "batches": "batches",
    "fine_tuning": "fine-tuning",
    "messages": "Anthropic's API",
}


class _HeadAnswered(BaseException):
    """The response to a HEAD request is complete; no Exception, so that nothing takes it for an error."""


class CanonicalPath:
    """Rewrites the path and the method of a request; one per application, outside of authentication."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under the path that its route has."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = _SLASHES.sub("/", scope["path"])
        path = path.rstrip("/") or "/"
        raw_path = _SLASHES.sub("/", scope.get("raw_path", b"").decode("latin-1")).rstrip("/") or "/"
        scope = {**scope, "path": path, "raw_path": raw_path.encode("latin-1")}
        if scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        try:
            await self._app({**scope, "method": "GET"}, receive, _without_body(send))
        except _HeadAnswered:
            return


def _without_body(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] != "http.response.body":
            await send(message)
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        if message.get("more_body"):
            raise _HeadAnswered  # a stream: it would go on for as long as its run

    return sending


def describe_missing(request: Request) -> str:
    """Return what to tell a caller whose path has no route: method and path, and the paths that there are."""
    asked = f"{request.method} {request.url.path[:200]}"
    parts = request.url.path.strip("/").split("/")
    base = f"the base URL for OpenAI's clients is {str(request.base_url).rstrip('/')}/v1"
    if parts[:1] == ["v1"] and len(parts) > 1 and parts[1] in _INSTEAD:
        return f"{asked}: {_INSTEAD[parts[1]]} is not served here; use POST /v1/chat/completions"
    if not {"completions", "models", "v1"}.isdisjoint(parts):
        return f"{asked} is not found; {base}, with POST /v1/chat/completions and GET /v1/models"
    paths = sorted({f"/{path.split('/')[1]}" for path in request.app.openapi()["paths"]})
    return f"{asked} is not found; there are {', '.join(paths)}; {base}"


def describe_wrong_method(request: Request, allowed: str) -> str:
    """Return what to tell a caller whose path has a route, but not for its method."""
    return f"{request.method} {request.url.path[:200]} is not allowed; use {allowed}"


def allowed_methods(request: Request) -> list[str]:
    """Return the methods that the path of a request has routes for."""
    steps = request.url.path.split("/")
    return sorted(
        method.upper()
        for path, operations in request.app.openapi()["paths"].items()
        if _matches(path.split("/"), steps)
        for method in operations
    )


def _matches(template: list[str], steps: list[str]) -> bool:
    return len(template) == len(steps) and all(
        one == step or (one.startswith("{") and step) for one, step in zip(template, steps, strict=True)
    )
