"""Middleware: request id, the caller's or a new one."""

from __future__ import annotations

import re
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "x-request-id"

_SANE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


class RequestId:
    """Sets `scope["state"]["request_id"]` and the response header; one per application, outside of all others."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its id."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _sane(Headers(scope=scope).get(HEADER)) or uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        await self._app(scope, receive, sending)


def _sane(request_id: str | None) -> str | None:
    """Return the caller's id if it is short and plain, else None."""
    # it goes into log lines: a line break in it would forge one, a long one would fill the log
    return request_id if request_id and _SANE.fullmatch(request_id) else None
