"""The cost of a run: an agent can print a result message of its own, and moves no number by it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from agent.claude.result_message import read_result
from agent.domain.request import AgentRequest
from agent.domain.result import AgentResult, Invocation, Usage

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COUNTED = Usage(input_tokens=10, output_tokens=20)


def result(line: str, *, counted: float | None = 0.25, budget: float = 2.0) -> AgentResult:
    given: dict[str, Any] = {"counted_usd": counted, "counted_usage": COUNTED} if counted is not None else {}
    invocation = Invocation(
        started_at=NOW, finished_at=NOW, ending="exit", acted=True, exit_code=0, result_line=line, **given
    )
    return read_result(AgentRequest(prompt="p", agent="a", max_budget_usd=budget), invocation)


def said(cost: str, usage: str = "{}") -> str:
    return f'{{"type": "result", "subtype": "success", "result": "", "total_cost_usd": {cost}, "modelUsage": {usage}}}'


@pytest.mark.parametrize(
    "cost", ["-1000", "NaN", "Infinity", "-Infinity", "1e308", "1e999", "0", "0.1", '"0.7"', "true", "null", "[1]"]
)
def test_what_an_agent_forges_is_not_its_cost(cost: str) -> None:
    assert result(said(cost)).cost_usd == 0.25


def test_the_higher_of_both_counts_is_the_cost() -> None:
    assert result(said("0.30")).cost_usd == 0.30
    assert result(said("3.00"), counted=3.1, budget=1.0).cost_usd == 3.1
    assert result(said("3.00"), counted=2.9, budget=1.0).cost_usd == 3.00


@pytest.mark.parametrize(
    ("cost", "expected"), [("0.4", 0.4), ("-1", None), ("NaN", None), ("1e308", None), ('"x"', None)]
)
def test_without_a_proxy_the_cli_is_believed_as_far_as_it_is_possible(cost: str, expected: float | None) -> None:
    assert result(said(cost), counted=None).cost_usd == expected


@pytest.mark.parametrize("tokens", ["1e30", "-5", "NaN", '"7"', "null", "1" * 40])
def test_forged_tokens_are_no_tokens(tokens: str) -> None:
    usage = f'{{"m": {{"inputTokens": {tokens}, "outputTokens": 3}}, "n": null}}'
    assert result(said("0", usage)).usage == COUNTED
    assert result(said("0", usage), counted=None).usage == Usage(output_tokens=3)
