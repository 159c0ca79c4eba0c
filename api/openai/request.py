"""A chat completion that is asked for, turned into what is asked of an agent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agent.domain.request import AgentRequest, Effort
from agent.system.text import shorten
from api.http.errors import ApiError
from api.openai.data_url import NOT_FETCHED
from api.openai.model_catalog import ModelCatalog, ModelChoice
from api.openai.prompt import Prompt
from api.openai.response import Form
from api.openai.run_limits import RunLimits
from api.openai.schemas import ChatCompletionRequest, ImagePart, NamedSchema, ResponseFormat
from deployments.host.run_metadata import TRIGGER

TAG = f"{TRIGGER}chat"

_USER_CHARACTERS = 100


def agent_request(asked: ChatCompletionRequest, prompt: Prompt, chosen: ModelChoice, limits: RunLimits) -> AgentRequest:
    """The request for an agent: which ones there are, and what they may take, is configured, not asked for."""
    return AgentRequest(
        prompt=prompt.text,
        instructions=prompt.instructions,
        agent=chosen.agent,
        model=chosen.model,
        effort=_effort(asked),
        json_schema=_json_schema(asked),
        max_budget_usd=limits.max_budget_usd,
        timeout_seconds=limits.timeout_seconds,
        metadata=asked.metadata,
    )


def run_tags(asked: ChatCompletionRequest) -> list[str]:
    """By which the run is found in Prefect: who asked, as far as we are told."""
    given = asked.user if isinstance(asked.user, str) else ""
    user = shorten("".join(filter(str.isprintable, given)), _USER_CHARACTERS, keep="end")
    return [TAG, f"user:{user}"] if user else [TAG]


def answer_form(asked: ChatCompletionRequest, wanted: AgentRequest, catalogue: ModelCatalog, reasoning: bool) -> Form:
    """How the answer is to be told; `reasoning` is for callers who do not say."""
    options = asked.stream_options
    return Form(
        model=catalogue.name(asked.model),
        structured=wanted.json_schema is not None,
        reasoning=reasoning if asked.include_reasoning is None else asked.include_reasoning,
        usage=options is not None and bool(options.include_usage),
    )


def refuse_unserved(asked: ChatCompletionRequest, *, fetches_images: bool) -> None:
    """Raises ApiError for what we do not do: nobody shall believe to have got it."""
    for name, reason in _unserved(asked).items():
        raise ApiError(400, f"{name} is not supported{reason}", param=name, code="unsupported_parameter")
    for name in [] if fetches_images else _remote_images(asked):
        raise ApiError(400, f"{name}: {NOT_FETCHED}", param=name)


def _remote_images(asked: ChatCompletionRequest) -> Iterator[str]:
    """Where in the request an image is named by its address."""
    for index, message in enumerate(asked.messages):
        for number, part in enumerate(message.content or []):
            if isinstance(part, ImagePart) and part.image_url.data is None:
                yield f"messages[{index}].content[{number}].image_url.url"


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
