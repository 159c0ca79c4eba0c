"""What /openapi.json says that FastAPI cannot know: which errors there are, who gets in, how much is too much."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field

from agent.settings import AgentSettings
from api.http.authentication import OPEN_PATHS

Document = dict[str, Any]

_MEANINGS = {
    400: "The request is not one we can serve.",
    401: "No token, or not the right one.",
    404: "There is no such thing.",
    409: "No agent is free, and nothing may wait.",
    413: "The request body is too large.",
    422: "What was asked for cannot be.",
    429: "The queue is full.",
    503: "We could not serve this now.",
}


STREAM: Document = {
    "description": "A chat completion; with `stream`, its chunks as server-sent events.",
    "content": {"text/event-stream": {}},
}


class ErrorBody(BaseModel):
    """What went wrong."""

    detail: str


class OpenAIError(BaseModel):
    """OpenAI's error object."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIErrorBody(BaseModel):
    """What went wrong, as OpenAI tells it, and in one line."""

    error: OpenAIError | str = Field(description="A bare string where LEGACY_ERROR_BODIES is set.")
    detail: str
    supported: list[str] | None = Field(default=None, description="The models there are.")


def answers(*statuses: int, model: type[BaseModel] = ErrorBody) -> dict[int | str, Document]:
    """The error answers of a route, for its `responses`; FastAPI documents 422 itself where a body is validated."""
    return {status: {"model": model, "description": _MEANINGS[status]} for status in statuses if status in _MEANINGS}


def document(app: FastAPI, settings: AgentSettings) -> None:
    """Have `app` describe itself completely."""

    def openapi() -> Document:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
            app.openapi_schema = _complete(schema, settings)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(schema: Document, settings: AgentSettings) -> Document:
    schemas = schema["components"]["schemas"]
    schema["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            if path not in OPEN_PATHS:
                operation["security"] = [{"bearer": []}]
            if _is_fastapis(operation["responses"].get("422", {})) and not _answers_422(path, operation):
                del operation["responses"]["422"]
    limits = schemas["JobRequest"]["properties"]
    limits["max_budget_usd"]["maximum"] = settings.max_budget_usd_limit
    limits["timeout_seconds"]["maximum"] = settings.max_timeout_seconds_limit
    return schema


def _is_fastapis(answer: Document) -> bool:
    return answer.get("description") == "Validation Error"


def _answers_422(path: str, operation: Document) -> bool:
    """Under /v1 it is 400; elsewhere there must be more to a request than its path, in which any text will do."""
    checked = "requestBody" in operation or any(one["in"] == "query" for one in operation.get("parameters", []))
    return checked and not path.startswith("/v1/")
