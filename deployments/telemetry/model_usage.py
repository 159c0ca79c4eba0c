"""Usage per model, from the CLI's result message."""

from __future__ import annotations

import json
from typing import Any

from agent.domain.result import AgentResult
from agent.domain.values import Frozen
from agent.system.numbers import read_amount, read_count


class ModelUse(Frozen):
    """Tokens and dollars of one model in one run; the kinds of tokens do not overlap."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0
    dollars: float = 0.0


def usage_by_model(result: AgentResult) -> dict[str, ModelUse]:
    """Return the usage by model name; all of it under the run's model where the CLI does not tell models apart."""
    usage = result.usage
    total = ModelUse(
        prompt=usage.prompt_tokens - usage.cache_read_input_tokens,
        cached=usage.cache_read_input_tokens,
        completion=usage.output_tokens,
        dollars=result.cost_usd or 0.0,
    )
    said = {name: _read(use) for name, use in _model_usage(result).items() if isinstance(use, dict)}
    if said and _is_within(said, total):
        return said
    return {result.model: total} if result.model and total != ModelUse() else {}


def _is_within(said: dict[str, ModelUse], total: ModelUse) -> bool:
    """True if the split adds up to no more than the run's own totals: an agent can forge the CLI's message."""
    return all(
        sum(getattr(use, kind) for use in said.values()) <= getattr(total, kind) * 1.001 + 1e-6
        for kind in ModelUse.model_fields
    )


def _model_usage(result: AgentResult) -> dict[str, Any]:
    try:
        message = json.loads("".join(result.output))
    except ValueError:
        return {}
    said = message.get("modelUsage") if isinstance(message, dict) else None
    return said if isinstance(said, dict) else {}


def _read(use: dict[str, Any]) -> ModelUse:
    return ModelUse(
        prompt=read_count(use.get("inputTokens")) + read_count(use.get("cacheCreationInputTokens")),
        cached=read_count(use.get("cacheReadInputTokens")),
        completion=read_count(use.get("outputTokens")),
        dollars=read_amount(use.get("costUSD")) or 0.0,
    )
