"""Request bodies that are JSON in the strict sense."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic_core import from_json


class JsonRequest(Request):
    """A request whose body is refused if it could not be given back: NaN, half surrogate pairs, endless nesting.

    Python's own parser takes all of these, and they fail much later, in an answer or in a database.
    """

    async def json(self) -> Any:
        """The body, parsed; raises JSONDecodeError, which FastAPI answers as a validation error."""
        body = await self.body()
        try:
            return from_json(body.removeprefix(b"\xef\xbb\xbf"), allow_inf_nan=False)
        except ValueError as error:
            raise json.JSONDecodeError(str(error), "", 0) from None


class JsonRoute(APIRoute):
    """A route that reads its body with `JsonRequest`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own handler, given our kind of request."""
        handle = super().get_route_handler()

        async def handle_json(request: Request) -> Response:
            return await handle(JsonRequest(request.scope, request.receive))

        return handle_json
