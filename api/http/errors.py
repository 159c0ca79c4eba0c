"""Maps exceptions to HTTP responses: one table, one body.

Every body has `detail`. Under /v1 it has OpenAI's error object as well: OpenAI's clients show nothing else of a body.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import Scope

from agent.domain.errors import AgentBusy, AgentError, DiskFull, RequestRefused
from agent.system.text import shorten_cause
from api.http.paths import allowed_methods, describe_missing, describe_wrong_method
from deployments.prefect_client.calls import PrefectUnavailable
from store.errors import StoreError

EXECUTION_FAILED = "execution failed"
RETRY_SOON = {"retry-after": "5"}
RETRY_LATER = {"retry-after": "60"}
_SHOWN_CHARACTERS = 300
_SHOWN_BITS = 64

_CODES = {
    401: "invalid_api_key",
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
    500: "internal_error",
    503: "execution_failed",
}


class ApiError(HTTPException):
    """An error response; raised by routes and middleware.

    `words` begin OpenAI's message, and are the whole `error` with LEGACY_ERROR_BODIES. `extra` members go beside it.
    """

    def __init__(
        self,
        status_code: int,
        detail: str,
        *,
        words: str | None = None,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(status_code, detail, headers)
        self.words = words
        self.param = param
        self.code = code or _CODES.get(status_code)
        self.extra = extra or {}

    @property
    def message(self) -> str:
        """The words and the detail in one line."""
        if self.words is None or self.detail.startswith(self.words):
            return self.detail
        return f"{self.words}: {self.detail}"


class ErrorBodies:
    """Makes the error responses, with old or new bodies; one per application."""

    def __init__(self, *, legacy: bool) -> None:
        self._legacy = legacy

    def install(self, app: FastAPI) -> None:
        """Register the handlers for all exceptions that `to_api_error` knows."""
        for kind in (HTTPException, RequestValidationError, AgentError, PrefectUnavailable, StoreError):
            app.add_exception_handler(kind, self._handle)

    async def _handle(self, request: Request, error: Exception) -> JSONResponse:
        # from the router itself, in two words: it knows no route
        if isinstance(error, HTTPException) and not isinstance(error, ApiError):
            error = _unrouted(request) if error.status_code in (404, 405) else error
        return self.response(request.scope, error)

    def response(self, scope: Scope, error: Exception) -> JSONResponse:
        """Return the response to a request that failed with `error`."""
        openai = is_openai(scope)
        if isinstance(error, RequestValidationError) and not openai:
            return JSONResponse({"detail": jsonable_encoder([_short(one) for one in error.errors()])}, 422)
        known = to_api_error(error, openai=openai)
        return JSONResponse(self._body(known, openai=openai), known.status_code, known.headers)

    def body(self, error: Exception, *, openai: bool) -> dict[str, Any]:
        """Return the body alone, for a stream that has started."""
        return self._body(to_api_error(error, openai=openai), openai=openai)

    def _body(self, error: ApiError, *, openai: bool) -> dict[str, Any]:
        if not openai:
            return {"detail": error.detail, **error.extra}
        is_ours = error.status_code >= 500 or error.words == EXECUTION_FAILED
        full = {
            "message": error.message,
            "type": "server_error" if is_ours else "invalid_request_error",
            "param": error.param,
            "code": error.code,
        }
        bare = error.words or error.detail
        return {"error": bare if self._legacy else full, "detail": error.detail, **error.extra}


def to_api_error(error: Exception, *, openai: bool) -> ApiError:
    """Return the error response that an exception stands for: 500 for an unknown one."""
    match error:
        case ApiError():
            return error
        case HTTPException():
            headers = dict(error.headers) if error.headers else None
            return ApiError(error.status_code, str(error.detail), headers=headers)
        case RequestValidationError():
            return _invalid(error.errors())
        case RequestRefused():
            return ApiError(400 if openai else 422, shorten_cause(str(error)))
        case AgentBusy():
            return _busy(openai=openai)
        case DiskFull():
            return unavailable(str(error), code="disk_full", headers=RETRY_LATER)
        case AgentError() | PrefectUnavailable() | StoreError():
            return unavailable(str(error), headers=RETRY_SOON)
    return ApiError(500, "internal error; the service's log has the reason under this request's x-request-id")


def unavailable(cause: str, *, code: str | None = None, headers: dict[str, str], status_code: int = 503) -> ApiError:
    """Return a 503, or another status, for a request that is valid and cannot be served."""
    code = code or "execution_failed"
    return ApiError(status_code, shorten_cause(cause), words=EXECUTION_FAILED, code=code, headers=headers)


def is_openai(scope: Scope) -> bool:
    """True if the path is one that OpenAI's clients call."""
    path: str = scope.get("path", "")
    return path == "/v1" or path.startswith("/v1/")


def _unrouted(request: Request) -> ApiError:
    """Return the error for a request that the router has no route for, with what there is."""
    if methods := allowed_methods(request):
        allowed = ", ".join(methods)
        return ApiError(405, describe_wrong_method(request, allowed), headers={"allow": allowed})
    return ApiError(404, describe_missing(request))


def _busy(*, openai: bool) -> ApiError:
    if openai:
        return unavailable("agent is busy", code="agent_busy", headers=RETRY_SOON)
    return ApiError(409, "Agent is busy", headers=RETRY_SOON)


def _invalid(errors: Sequence[Any]) -> ApiError:
    first = errors[0]
    param = parameter(first["loc"])
    reason = first.get("ctx", {}).get("error") if first["type"] == "json_invalid" else None
    said = first["msg"].removeprefix("Value error, ")
    message = (f"{said}: {reason}" if reason else said)[:_SHOWN_CHARACTERS]
    return ApiError(400, f"{param}: {message}" if param else message, param=param)


def _short(error: dict[str, Any]) -> dict[str, Any]:
    """Return a validation error without the documents that the caller sent."""
    match error.get("input"):
        case dict() | list():
            return {**error, "input": None}
        case str() as text:
            return {**error, "input": text[:_SHOWN_CHARACTERS]}
        case float() as number if not math.isfinite(number):
            return {**error, "input": str(number)}  # JSON has no infinity
        case int() as number if number.bit_length() > _SHOWN_BITS:
            return {**error, "input": None}
    return error


def parameter(location: Sequence[int | str]) -> str | None:
    """Return `messages[0].content` for pydantic's ("body", "messages", 0, "user", "content"); None for the body."""
    name = ""
    previous: int | str = ""
    for part in location[1:]:
        match part:
            case int():
                name += f"[{part}]"
            case str() if not isinstance(previous, int):
                name += f".{part}" if name else part
        # else: the elements of our lists are tagged unions, and pydantic names the tag after the index
        previous = part
    return name if name and not name.startswith("[") else None
