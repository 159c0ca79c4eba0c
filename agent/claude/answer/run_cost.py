"""The cost and the tokens of a run: what the provider proxy counted, and what the CLI says of itself.

An agent can print a result message of its own, so nothing in one moves a number past what is possible.
"""

from __future__ import annotations

from typing import Any

from agent.domain.result import Invocation, Usage
from agent.system.numbers import read_amount, read_count


def cost_of(message: dict[str, Any], invocation: Invocation, max_budget_usd: float) -> float | None:
    """Return US dollars, the higher of both counts; None if neither is known. Always finite, and never less than 0.

    The CLI's own count stands only where it is plausible: not past the budget and twice what the proxy counted.
    """
    counted, said = invocation.counted_usd, read_amount(message.get("total_cost_usd"))
    if counted is None:
        return said
    if said is None or said > max(2 * counted, max_budget_usd):
        return counted
    return max(counted, said)


def usage_of(message: dict[str, Any], invocation: Invocation) -> Usage:
    """Return the tokens that the proxy counted; those that the CLI says of itself where there is no proxy."""
    if invocation.counted_usage is not None:
        return invocation.counted_usage
    # `usage` omits subagents and the last call of a run that is out of budget; `modelUsage` has them
    models = message.get("modelUsage")
    uses = [use for use in models.values() if isinstance(use, dict)] if isinstance(models, dict) else []
    return Usage(**{name: sum(read_count(use.get(key)) for use in uses) for name, key in _USAGE_KEYS.items()})


_USAGE_KEYS = {
    "input_tokens": "inputTokens",
    "output_tokens": "outputTokens",
    "cache_read_input_tokens": "cacheReadInputTokens",
    "cache_creation_input_tokens": "cacheCreationInputTokens",
}
