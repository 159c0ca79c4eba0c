"""Strict JSON request bodies."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic_core import from_json


class JsonRequest(Request):
    """A request that refuses NaN, lone surrogates and deep nesting in its body; JsonRoute makes one per request.

    Python's own parser accepts all of these, and they fail much later, in an answer or in a database.
    """

    async def json(self) -> Any:
        """Return the parsed body. Raises JSONDecodeError, which FastAPI turns into a validation error."""
        body = await self.body()
        try:
            return from_json(body.removeprefix(b"\xef\xbb\xbf"), allow_inf_nan=False)
        except ValueError as error:
            raise json.JSONDecodeError(str(error), "", 0) from None


class JsonRoute(APIRoute):
    """A route that reads its body with `JsonRequest`; the class of the routes that a router makes."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler, called with a JsonRequest."""
        handle = super().get_route_handler()

        async def handle_json(request: Request) -> Response:
            return await handle(JsonRequest(request.scope, request.receive))

        return handle_json
