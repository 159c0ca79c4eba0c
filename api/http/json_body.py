"""Strict JSON request bodies, under any content type."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic_core import from_json

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class JsonRequest(Request):
    """A request that refuses NaN, lone surrogates and deep nesting in its body; JsonRoute makes one per request.

    Python's own parser accepts all of these, and they fail much later, in an answer or in a database.
    """

    content_type = ""
    """As the client named it; FastAPI does not see it, because it would leave a form's JSON unread."""

    async def json(self) -> Any:
        """Return the parsed body. Raises JSONDecodeError, which FastAPI turns into a validation error."""
        body = await self.body()
        try:
            return from_json(body.removeprefix(_BYTE_ORDER_MARK), allow_inf_nan=False)
        except ValueError as error:
            raise json.JSONDecodeError(f"{error}{self._hint()}", "", 0) from None

    def _hint(self) -> str:
        if not self.content_type or "json" in self.content_type:
            return ""
        return f"; the body must be JSON with Content-Type: application/json, and not {self.content_type[:100]}"


class JsonRoute(APIRoute):
    """A route that reads its body with `JsonRequest`; the class of the routes that a router makes."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler, called with a JsonRequest."""
        handle = super().get_route_handler()

        async def handle_json(request: Request) -> Response:
            headers = [one for one in request.scope["headers"] if one[0] != b"content-type"]
            read = JsonRequest({**request.scope, "headers": headers}, request.receive)
            read.content_type = request.headers.get("content-type", "").partition(";")[0].strip()
            return await handle(read)

        return handle_json
