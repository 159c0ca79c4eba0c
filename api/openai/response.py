"""What a run came to, told as a chat completion or as the error that it is."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from uuid import UUID

from agent.domain.result import AgentResult, Outcome
from agent.domain.values import Frozen
from api.http.errors import RETRY_SOON, unavailable
from api.openai.schemas import (
    ChatCompletion,
    Choice,
    CompletionMessage,
    CompletionUsage,
    PromptTokensDetails,
    ReasonedMessage,
)
from api.runs.narration import Piece

TIMED_OUT = "agent timed out"


class Form(Frozen):
    """How one caller wants the answer."""

    model: str
    structured: bool = False
    reasoning: bool = False
    usage: bool = False


def chat_completion(run_id: UUID, form: Form, outcome: Outcome, said: Sequence[Piece]) -> ChatCompletion:
    """The answer of a run that ended well; raises ApiError for any other."""
    result = answered(run_id, outcome)
    return ChatCompletion(
        id=completion_id(run_id),
        created=int(time.time()),
        model=form.model,
        choices=[Choice(message=_message(result, form, said))],
        usage=completion_usage(result),
    )


def answered(run_id: UUID, outcome: Outcome) -> AgentResult:
    """The result of a run that ended well; raises ApiError for any other."""
    result = outcome.result
    if result is not None and outcome.error is None:
        return result
    cause = outcome.error or "the run ended without an answer"
    if result is not None and result.ending == "timeout":
        cause = TIMED_OUT  # how long it had is a setting of ours: the callers' programs look for these words
    # OpenAI's clients obey this: an agent that has started is paid for, and may have acted
    again = {"x-should-retry": "false"} if result is not None else RETRY_SOON
    raise unavailable(cause, headers=answer_headers(run_id, result) | again)


def answer_headers(run_id: UUID, result: AgentResult | None) -> dict[str, str]:
    """What is told beside the body: the run, and what it cost in US dollars."""
    headers = {"x-flow-run-id": str(run_id)}
    if result is not None and result.cost_usd is not None:
        headers["x-cost-usd"] = f"{result.cost_usd:.6f}"
    return headers


def completion_id(run_id: UUID) -> str:
    """An id of OpenAI's form; the run is known by it, too."""
    return f"chatcmpl-{run_id.hex}"


def completion_content(result: AgentResult) -> str:
    """The answer as text: JSON, where a form was asked for."""
    if result.structured is not None:
        return json.dumps(result.structured, ensure_ascii=False)
    return result.text or ""


def completion_usage(result: AgentResult) -> CompletionUsage:
    """The tokens of all model calls of the run."""
    usage = result.usage
    return CompletionUsage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.output_tokens,
        total_tokens=usage.prompt_tokens + usage.output_tokens,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=usage.cache_read_input_tokens),
    )


def _message(result: AgentResult, form: Form, said: Sequence[Piece]) -> CompletionMessage:
    content = completion_content(result)
    if not form.reasoning:
        return CompletionMessage(content=content)
    reasoning = "".join(piece.text for piece in said if piece.kind != "text")
    return ReasonedMessage(content=content, reasoning_content=reasoning)
