"""Additions to the OpenAPI document: errors, authentication, limits."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field

from agent.settings import AgentSettings
from api.http.authentication import OPEN_PATHS

Document = dict[str, Any]

_MEANINGS = {
    400: "The request cannot be served as it is.",
    401: "No token, or a wrong one.",
    404: "Not found.",
    409: "No agent is free, and MAX_QUEUE_DEPTH is 0.",
    413: "The request body is too large.",
    422: "The request is well-formed and cannot be carried out.",
    429: "The queue is full.",
    503: "The request cannot be served now.",
}


_DESCRIPTION = "Run headless Claude Code agents: as queued jobs, on a schedule, or behind OpenAI's API."

_TAGS = {
    "jobs": "Queue runs of agents, follow them, read their results, and cancel them.",
    "openai": "OpenAI's API: any client of it can ask an agent.",
    "agents": "The agents that a workspace defines.",
    "triage": "Triages of prefect.yaml: each new item of a source is given to an agent of its own.",
    "schedules": "The schedules of prefect.yaml, with their next and last runs.",
    "usage": "The cost of runs, by day and agent.",
    "kept work": "Work that agents left unpushed.",
    "switch": "Pause and resume all agents.",
    "register": "Apply prefect.yaml again.",
    "health": "The state of this host, for dispatchers, probes and monitoring.",
}

STREAM: Document = {
    "description": "A chat completion; with `stream`, its chunks as server-sent events.",
    "content": {"text/event-stream": {}},
}


class ErrorBody(BaseModel):
    """An error; made for each error response outside of /v1."""

    detail: str


class OpenAIError(BaseModel):
    """OpenAI's error object; part of each error response under /v1."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIErrorBody(BaseModel):
    """An error under /v1: OpenAI's object, and the same in one line."""

    error: OpenAIError | str = Field(description="A bare string where LEGACY_ERROR_BODIES is set.")
    detail: str
    supported: list[str] | None = Field(default=None, description="The model ids that can be requested.")


def error_responses(*statuses: int, model: type[BaseModel] = ErrorBody) -> dict[int | str, Document]:
    """Return the error responses of a route, for its `responses`. FastAPI adds 422 itself where a body is validated."""
    return {status: {"model": model, "description": _MEANINGS[status]} for status in statuses if status in _MEANINGS}


def document(app: FastAPI, settings: AgentSettings) -> None:
    """Replace the OpenAPI document of `app` by a complete one."""

    def openapi() -> Document:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                description=_DESCRIPTION,
                routes=app.routes,
                tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
                servers=[{"url": "/", "description": "This service."}],
            )
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
            if _is_from_fastapi(operation["responses"].get("422", {})) and not _answers_422(path, operation):
                del operation["responses"]["422"]
    limits = schemas["JobRequest"]["properties"]
    limits["max_budget_usd"]["maximum"] = settings.max_budget_usd_limit
    limits["timeout_seconds"]["maximum"] = settings.max_timeout_seconds_limit
    return schema


def _is_from_fastapi(answer: Document) -> bool:
    return answer.get("description") == "Validation Error"


def _answers_422(path: str, operation: Document) -> bool:
    """True if the operation can answer 422: outside of /v1, with a body or query parameters to validate."""
    checked = "requestBody" in operation or any(one["in"] == "query" for one in operation.get("parameters", []))
    return checked and not path.startswith("/v1/")
