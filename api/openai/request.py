"""Translates a chat completion request into an AgentRequest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import JsonValue

from agent.domain.request import AgentRequest, Effort
from agent.system.text import shorten
from api.http.errors import ApiError
from api.openai.data_url import NOT_FETCHED
from api.openai.model_catalog import ModelCatalog
from api.openai.prompt import Prompt
from api.openai.response import AnswerFormat
from api.openai.run_limits import RunLimits
from api.openai.schemas import ChatCompletionRequest, ImagePart, NamedSchema, ResponseFormat
from api.settings import ApiSettings
from deployments.host.run_metadata import TRIGGER

TAG = f"{TRIGGER}chat"

_USER_CHARACTERS = 100


def agent_request(
    body: ChatCompletionRequest, prompt: Prompt, agent: str, model: str | None, limits: RunLimits
) -> AgentRequest:
    """Return the request for the agent; its agent and the upper bounds of its limits are configured."""
    return AgentRequest(
        prompt=prompt.text,
        instructions=prompt.instructions,
        agent=agent,
        model=model,
        effort=_effort(body),
        json_schema=_json_schema(body),
        max_budget_usd=limits.max_budget_usd,
        timeout_seconds=limits.timeout_seconds,
        metadata=body.metadata,
    )


def run_tags(body: ChatCompletionRequest) -> list[str]:
    """Return the tags of the run in Prefect: how it was triggered, and `user` of the request."""
    given = body.user if isinstance(body.user, str) else ""
    user = shorten("".join(filter(str.isprintable, given)), _USER_CHARACTERS, keep="end")
    return [TAG, f"user:{user}"] if user else [TAG]


def answer_form(
    body: ChatCompletionRequest, agent: AgentRequest, catalog: ModelCatalog, settings: ApiSettings
) -> AnswerFormat:
    """Return the format of the answer."""
    options = body.stream_options
    return AnswerFormat(
        model=catalog.id_of(body.model),
        structured=agent.json_schema is not None,
        reasoning=settings.openai_compat_reasoning if body.include_reasoning is None else body.include_reasoning,
        failure_status=settings.openai_compat_failure_status,
        usage=options is not None and bool(options.include_usage),
        stop=(body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ()),
    )


def refuse_unserved(body: ChatCompletionRequest, *, fetches_images: bool) -> None:
    """Raise ApiError for members that cannot be honoured, so that a caller never believes they were."""
    for name, reason in _unserved(body).items():
        # OpenAI's own words: CrewAI and others look for them, and ask again without the parameter
        message = f"Unsupported parameter: '{name}' is not supported with this model{reason}"
        raise ApiError(400, message, param=name, code="unsupported_parameter")
    for name in [] if fetches_images else _remote_images(body):
        raise ApiError(400, f"{name}: {NOT_FETCHED}", param=name)


def _remote_images(body: ChatCompletionRequest) -> Iterator[str]:
    """Yield the places of images by URL in the request."""
    for index, message in enumerate(body.messages):
        for number, part in enumerate(message.content or []):
            if isinstance(part, ImagePart) and part.image_url.data is None:
                yield f"messages[{index}].content[{number}].image_url.url"


def _unserved(body: ChatCompletionRequest) -> dict[str, str]:
    """Return the members that cannot be honoured, each with its reason."""
    unserved = {
        "n": (body.n or 1) > 1 and ": there is one choice",
        "logprobs": bool(body.logprobs) and ": the CLI does not give them",
        "top_logprobs": bool(body.top_logprobs) and ": the CLI does not give them",
        "audio": body.audio is not None and ": answers are text",
        "modalities": bool(set(body.modalities or []) - {"text"}) and ": answers are text",
        "tool_choice": _is_forced(body.tool_choice) and ": no call can be forced; leave it out, or send auto",
        "function_call": _is_forced(body.function_call) and ": no call can be forced; leave it out",
    }
    return {name: reason for name, reason in unserved.items() if reason}


def _is_forced(choice: JsonValue) -> bool:
    """True if a `tool_choice` or `function_call` demands a call."""
    match choice:
        case None | "" | "auto" | "none" | {"type": "auto" | "none"}:
            return False
        case {"type": "allowed_tools", "allowed_tools": {"mode": "auto"}} | {"type": "allowed_tools", "mode": "auto"}:
            return False
    return True


def _effort(body: ChatCompletionRequest) -> Effort | None:
    match body.reasoning_effort:
        case "none" | "minimal":
            return "low"
        case effort:
            return effort


def _json_schema(body: ChatCompletionRequest) -> dict[str, Any] | None:
    match body.response_format:
        case ResponseFormat(type="json_schema", json_schema=NamedSchema() as named):
            return dict(named.schema_)
        case ResponseFormat(type="json_object"):
            return {"type": "object"}
    return None
