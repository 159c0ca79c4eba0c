"""What a run came to, told as a chat completion or as the error that it is."""

from __future__ import annotations

import json
import time
from uuid import UUID

from agent.models import AgentResult, Outcome
from api.errors import RETRY_SOON, ApiError, unavailable
from api.openai import ChatCompletion, Choice, CompletionMessage, CompletionUsage, PromptTokensDetails

TIMED_OUT = "agent timed out"


def chat_completion(run_id: UUID, model: str, outcome: Outcome) -> ChatCompletion:
    """The answer of a run that ended well; raises ApiError for any other."""
    result = outcome.result
    if result is None or outcome.error is not None:
        raise _failure(run_id, outcome)
    return ChatCompletion(
        id=f"chatcmpl-{run_id.hex}",
        created=int(time.time()),
        model=model,
        choices=[Choice(message=CompletionMessage(content=_content(result)))],
        usage=_usage(result),
    )


def answer_headers(run_id: UUID, result: AgentResult | None) -> dict[str, str]:
    """What is told beside the body: the run, and what it cost in US dollars."""
    headers = {"x-flow-run-id": str(run_id)}
    if result is not None and result.cost_usd is not None:
        headers["x-cost-usd"] = f"{result.cost_usd:.6f}"
    return headers


def _failure(run_id: UUID, outcome: Outcome) -> ApiError:
    cause = outcome.error or "the run ended without an answer"
    # how long it had is a setting of ours: the callers' programs look for these words
    cause = TIMED_OUT if cause.startswith(TIMED_OUT) else cause
    # OpenAI's clients obey this: an agent that has started is paid for, and may have acted
    again = {"x-should-retry": "false"} if outcome.result is not None else RETRY_SOON
    return unavailable(cause, headers=answer_headers(run_id, outcome.result) | again)


def _content(result: AgentResult) -> str:
    if result.structured is not None:
        return json.dumps(result.structured, ensure_ascii=False)
    return result.text or ""


def _usage(result: AgentResult) -> CompletionUsage:
    usage = result.usage
    return CompletionUsage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.output_tokens,
        total_tokens=usage.prompt_tokens + usage.output_tokens,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=usage.cache_read_input_tokens),
    )
