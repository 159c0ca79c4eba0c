"""A chat completion that is asked for, turned into what is asked of an agent."""

from __future__ import annotations

from typing import Any

from agent.models import AgentRequest, Effort
from api.errors import ApiError
from api.openai import ChatCompletionRequest, NamedSchema, ResponseFormat
from api.prompt import Prompt
from api.settings import ApiSettings


def agent_request(asked: ChatCompletionRequest, prompt: Prompt, settings: ApiSettings) -> AgentRequest:
    """The request for an agent: which one, and what it may take, is configured, not asked for."""
    return AgentRequest(
        prompt=prompt.text,
        instructions=prompt.instructions,
        agent=settings.openai_compat_agent,
        model=asked.model or settings.default_model,
        effort=_effort(asked),
        json_schema=_json_schema(asked),
        max_budget_usd=settings.openai_compat_budget_usd,
        timeout_seconds=settings.openai_compat_timeout_seconds,
    )


def refuse_unserved(asked: ChatCompletionRequest, settings: ApiSettings) -> None:
    """Raises ApiError for what we do not do: nobody shall believe to have got it."""
    _refuse_model(asked.model, settings)
    if asked.stream:
        raise ApiError(400, "streaming not supported", param="stream", code="unsupported_value")
    for name, reason in _unserved(asked).items():
        raise ApiError(400, f"{name} is not supported{reason}", param=name, code="unsupported_parameter")


def _refuse_model(model: str | None, settings: ApiSettings) -> None:
    supported = sorted({*settings.supported_models, settings.default_model})
    if model is None or model in supported:
        return
    raise ApiError(
        400,
        f"unsupported model: {model[:100]!r}; supported are {', '.join(supported)}",
        words="unsupported model",
        param="model",
        code="model_not_found",
        extra={"supported": supported},
    )


def _unserved(asked: ChatCompletionRequest) -> dict[str, str]:
    """The members that ask for something we do not do, each with the end of a sentence about it."""
    free_choice = (None, "auto", "none")
    unserved = {
        "n": (asked.n or 1) > 1 and ": there is one choice",
        "logprobs": bool(asked.logprobs) and ": the CLI does not give them",
        "top_logprobs": bool(asked.top_logprobs) and ": the CLI does not give them",
        "audio": asked.audio is not None and ": answers are text",
        "modalities": bool(set(asked.modalities or []) - {"text"}) and ": answers are text",
        "tool_choice": asked.tool_choice not in free_choice and ": no call can be forced; leave it out, or send auto",
        "function_call": asked.function_call not in free_choice and ": no call can be forced; leave it out",
        "stop": bool(asked.stop) and ": the CLI cannot stop there",
    }
    return {name: reason for name, reason in unserved.items() if reason}


def _effort(asked: ChatCompletionRequest) -> Effort | None:
    match asked.reasoning_effort:
        case "none" | "minimal":
            return "low"
        case effort:
            return effort


def _json_schema(asked: ChatCompletionRequest) -> dict[str, Any] | None:
    match asked.response_format:
        case ResponseFormat(type="json_schema", json_schema=NamedSchema() as named):
            return dict(named.schema_)
        case ResponseFormat(type="json_object"):
            return {"type": "object"}
    return None
