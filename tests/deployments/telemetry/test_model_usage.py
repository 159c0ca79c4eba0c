"""The usage per model in metrics: what an agent forges in the CLI's message moves none."""

from datetime import UTC, datetime

import pytest

from agent.domain.result import AgentResult, Usage
from deployments.telemetry.model_usage import ModelUse, usage_by_model

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOTAL = ModelUse(prompt=10, cached=5, completion=20, dollars=0.5)


def result(models: str) -> AgentResult:
    return AgentResult(
        **{"started_at": NOW, "finished_at": NOW, "exit_code": 0, "stderr": "", "text": "", "model": "m"},
        output=[f'{{"type": "result", "modelUsage": {models}}}'],
        cost_usd=0.5,
        usage=Usage(input_tokens=10, cache_read_input_tokens=5, output_tokens=20),
    )


def test_the_cli_tells_the_models_apart_as_long_as_its_sums_are_true() -> None:
    models = '{"a": {"inputTokens": 10, "costUSD": 0.2}, "b": {"outputTokens": 20, "costUSD": 0.3}}'
    assert usage_by_model(result(models)) == {
        "a": ModelUse(prompt=10, dollars=0.2),
        "b": ModelUse(completion=20, dollars=0.3),
    }


@pytest.mark.parametrize("forged", ['"inputTokens": 11', '"costUSD": 0.6'])
def test_a_split_past_the_runs_own_totals_is_not_believed(forged: str) -> None:
    assert usage_by_model(result(f'{{"a": {{{forged}}}}}')) == {"m": TOTAL}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e308", "-1000", '"7"', "null"])
def test_what_is_no_amount_counts_nothing(number: str) -> None:
    models = f'{{"a": {{"costUSD": {number}, "outputTokens": {number}}}}}'
    assert usage_by_model(result(models)) == {"a": ModelUse()}
