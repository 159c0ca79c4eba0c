"""How everything that goes wrong is told to callers: one table, one body.

Every body carries `detail`. Under /v1 it carries OpenAI's error object as well, because OpenAI's clients show nothing
else of it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.errors import AgentBusy, AgentError, RequestRefused
from agent.outcome import one_line
from api.parameter import parameter
from deployments.prefect_calls import PrefectUnavailable
from store.errors import StoreError

EXECUTION_FAILED = "execution failed"
RETRY_SECONDS = 5

_log = logging.getLogger(__name__)

_CODES = {
    401: "invalid_api_key",
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
    500: "internal_error",
    503: "execution_failed",
}


class ApiError(HTTPException):
    """An answer that is an error.

    `words` begin OpenAI's message, and are all of it where error bodies are the old ones; `extra` stands beside.
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
        """All of it in one line, the words first."""
        if self.words is None or self.detail.startswith(self.words):
            return self.detail
        return f"{self.words}: {self.detail}"


class ErrorBodies:
    """Writes error bodies, the old or the new ones; no exception leaves it without an answer."""

    def __init__(self, *, legacy: bool) -> None:
        self._legacy = legacy

    def install(self, app: FastAPI) -> None:
        """Answer everything that the routes of `app` raise and that we know of."""
        for kind in (HTTPException, RequestValidationError, AgentError, PrefectUnavailable, StoreError):
            app.add_exception_handler(kind, self._handle)

    async def _handle(self, request: Request, error: Exception) -> JSONResponse:
        return self.response(request.scope, error)

    def response(self, scope: Scope, error: Exception) -> JSONResponse:
        """The answer to a request that ended with `error`."""
        openai = is_openai(scope)
        if isinstance(error, RequestValidationError) and not openai:
            return JSONResponse({"detail": jsonable_encoder(_without_documents(error.errors()))}, 422)
        told = explain(error, openai=openai)
        return JSONResponse(self._body(told, openai=openai), told.status_code, told.headers)

    def _body(self, error: ApiError, *, openai: bool) -> dict[str, Any]:
        if not openai:
            return {"detail": error.detail, **error.extra}
        full = {
            "message": error.message,
            "type": "server_error" if error.status_code >= 500 else "invalid_request_error",
            "param": error.param,
            "code": error.code,
        }
        bare = error.words or error.detail
        return {"error": bare if self._legacy else full, "detail": error.detail, **error.extra}


class Unexpected:
    """Answers 500 for whatever nobody expected; the log has the reason, the caller has not."""

    def __init__(self, app: ASGIApp, bodies: ErrorBodies) -> None:
        self._app = app
        self._bodies = bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and answer for it if need be."""
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
            request_id = scope.get("state", {}).get("request_id")
            _log.exception("%s %s failed; request %s", scope["method"], scope["path"], request_id)
            if started:
                raise
            await self._bodies.response(scope, error)(scope, receive, send)


def explain(error: Exception, *, openai: bool) -> ApiError:
    """The answer that an exception stands for."""
    match error:
        case ApiError():
            return error
        case HTTPException():
            headers = dict(error.headers) if error.headers else None
            return ApiError(error.status_code, str(error.detail), headers=headers)
        case RequestValidationError():
            return _invalid(error.errors())
        case RequestRefused():
            return ApiError(400 if openai else 422, one_line(str(error)))
        case AgentBusy():
            return _busy(openai=openai)
        case AgentError() | PrefectUnavailable() | StoreError():
            return unavailable(str(error), retry_seconds=RETRY_SECONDS)
    return ApiError(500, "internal error; the service's log has the reason under this request's x-request-id")


def unavailable(cause: str, *, code: str | None = None, retry_seconds: int | None = None) -> ApiError:
    """A request that was good, and that we could not serve."""
    headers = {"retry-after": str(retry_seconds)} if retry_seconds else None
    return ApiError(503, one_line(cause), words=EXECUTION_FAILED, code=code, headers=headers)


def is_openai(scope: Scope) -> bool:
    """Whether a path is one that OpenAI's clients call."""
    path = scope.get("path", "")
    return path == "/v1" or path.startswith("/v1/")


def _busy(*, openai: bool) -> ApiError:
    if openai:
        return unavailable("agent is busy", code="agent_busy", retry_seconds=RETRY_SECONDS)
    return ApiError(409, "Agent is busy", headers={"retry-after": str(RETRY_SECONDS)})


def _invalid(errors: Sequence[Any]) -> ApiError:
    first = errors[0]
    param = parameter(first["loc"])
    reason = first.get("ctx", {}).get("error") if first["type"] == "json_invalid" else None
    message = f"{first['msg']}: {reason}" if reason else first["msg"]
    return ApiError(400, f"{param}: {message}" if param else message, param=param)


def _without_documents(errors: Sequence[Any]) -> list[Any]:
    """The errors without whole documents in them: a caller who left a member out has the rest at hand."""
    return [{**error, "input": None} if isinstance(error.get("input"), dict | list) else error for error in errors]
