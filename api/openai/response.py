"""Translates an outcome into a chat completion or an error."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from uuid import UUID

from agent.domain.result import AgentResult
from agent.domain.values import Frozen
from api.http.errors import RETRY_SOON, ApiError, unavailable
from api.openai.schemas import (
    ChatCompletion,
    Choice,
    CompletionMessage,
    CompletionUsage,
    PromptTokensDetails,
    ReasonedMessage,
)
from api.openai.stop_sequences import StopSequences
from api.runs.narration import Piece
from api.runs.transcript import RunTranscript

TIMED_OUT = "agent timed out"
REPEATED = "x-repeated-failure"
"""The header of a failure that an earlier run of the same request had; no agent ran for this one."""

_MODEL_GONE = re.compile(
    r"issue with the selected model|model.{0,60}(?:retired|deprecated|does not exist)", re.IGNORECASE
)


class AnswerFormat(Frozen):
    """The format of one answer: model id, JSON or text, reasoning, usage; made from each request."""

    model: str
    structured: bool = False
    reasoning: bool = False
    usage: bool = False
    stop: tuple[str, ...] = ()
    failure_status: int = 503


def chat_completion(run_id: UUID, form: AnswerFormat, result: AgentResult, said: Sequence[Piece]) -> ChatCompletion:
    """Return the completion of a successful run."""
    return ChatCompletion(
        id=completion_id(run_id),
        created=int(time.time()),
        model=form.model,
        choices=[Choice(message=_message(result, form, said))],
        usage=completion_usage(result),
    )


async def result_or_error(transcript: RunTranscript, form: AnswerFormat) -> AgentResult:
    """Return the result of a successful run at its end. Raises ApiError for any other."""
    outcome = await transcript.outcome()
    run_id, result = transcript.run_id, outcome.result
    assert run_id is not None
    if result is not None and outcome.error is None:
        return result
    cause = outcome.error or "the run ended without an answer"
    if result is not None and result.ending == "timeout":
        cause = TIMED_OUT  # callers' programs look for these words
    if result is None:
        raise unavailable(cause, headers=answer_headers(run_id, result) | RETRY_SOON)
    # OpenAI's SDKs obey x-should-retry: an agent that has started is paid for, and may have acted
    headers = (
        {"x-flow-run-id": str(run_id), REPEATED: "true"} if transcript.is_repeated else answer_headers(run_id, result)
    )
    headers["x-should-retry"] = "false"
    if _MODEL_GONE.search(cause):
        raise _no_such_model(form.model, headers)
    raise unavailable(cause, headers=headers, status_code=form.failure_status)


def _no_such_model(model: str, headers: dict[str, str]) -> ApiError:
    detail = f"the provider does not have the model of {model!r}: it may be retired; choose another of GET /v1/models"
    return ApiError(400, detail, words="unsupported model", param="model", code="model_not_found", headers=headers)


def answer_headers(run_id: UUID, result: AgentResult | None) -> dict[str, str]:
    """Return the response headers with the run's id and its cost in US dollars."""
    headers = {"x-flow-run-id": str(run_id)}
    if result is not None and result.cost_usd is not None:
        headers["x-cost-usd"] = f"{result.cost_usd:.6f}"
    return headers


def completion_id(run_id: UUID) -> str:
    """Return an id in OpenAI's form that contains the run's."""
    return f"chatcmpl-{run_id.hex}"


def completion_content(result: AgentResult) -> str:
    """Return the answer as text: JSON if the request had a schema."""
    if result.structured is not None:
        return json.dumps(result.structured, ensure_ascii=False)
    return result.text or ""


def completion_usage(result: AgentResult) -> CompletionUsage:
    """Return the tokens of all model calls of the run."""
    usage = result.usage
    return CompletionUsage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.output_tokens,
        total_tokens=usage.prompt_tokens + usage.output_tokens,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=usage.cache_read_input_tokens),
    )


def _message(result: AgentResult, form: AnswerFormat, said: Sequence[Piece]) -> CompletionMessage:
    content = completion_content(result)
    if not form.structured:
        content = StopSequences(form.stop).cut(content)
    if not form.reasoning:
        return CompletionMessage(content=content)
    reasoning = "".join(piece.text for piece in said if piece.kind != "text")
    return ReasonedMessage(content=content, reasoning_content=reasoning)
