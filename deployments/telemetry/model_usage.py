"""Usage per model, from the CLI's result message."""

from __future__ import annotations

import json
from typing import Any

from agent.domain.result import AgentResult
from agent.domain.values import Frozen


class ModelUse(Frozen):
    """Tokens and dollars of one model in one run; the kinds of tokens do not overlap."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0
    dollars: float = 0.0


def usage_by_model(result: AgentResult) -> dict[str, ModelUse]:
    """Return the usage by model name; all of it under the run's model where the CLI does not tell models apart."""
    said = _model_usage(result)
    if said:
        return {name: _read(use) for name, use in said.items() if isinstance(use, dict)}
    usage = result.usage
    use = ModelUse(
        prompt=usage.prompt_tokens - usage.cache_read_input_tokens,
        cached=usage.cache_read_input_tokens,
        completion=usage.output_tokens,
        dollars=result.cost_usd or 0.0,
    )
    return {result.model: use} if result.model and use != ModelUse() else {}


def _model_usage(result: AgentResult) -> dict[str, Any]:
    try:
        message = json.loads("".join(result.output))
    except ValueError:
        return {}
    said = message.get("modelUsage") if isinstance(message, dict) else None
    return said if isinstance(said, dict) else {}


def _read(use: dict[str, Any]) -> ModelUse:
    return ModelUse(
        prompt=_number(use, "inputTokens") + _number(use, "cacheCreationInputTokens"),
        cached=_number(use, "cacheReadInputTokens"),
        completion=_number(use, "outputTokens"),
        dollars=_number(use, "costUSD"),
    )


def _number(use: dict[str, Any], name: str) -> Any:
    value = use.get(name)
    return max(0, value) if isinstance(value, int | float) else 0
