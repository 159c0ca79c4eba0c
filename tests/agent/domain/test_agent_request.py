import math

import pytest
from pydantic import ValidationError

from agent.domain.request import AgentRequest


def request(**fields: object) -> AgentRequest:
    return AgentRequest.model_validate({"prompt": "hello", "agent": "tester", **fields})


def test_a_request_has_the_defaults_that_callers_count_on() -> None:
    assert (request().max_budget_usd, request().timeout_seconds) == (5.0, 2700)


@pytest.mark.parametrize(
    "agent",
    [
        "-x",
        "--mcp-config=/tmp/evil.json",
        "../other",
        "a/../../b",
        "a\0b",
        "a\nb",
        "a\rb",
        "",
        " ",
        "a\x1b[31mb",
        "a\u202eb",
    ],
)
def test_an_agent_name_that_could_act_is_refused(agent: str) -> None:
    with pytest.raises(ValidationError):
        request(agent=agent)


@pytest.mark.parametrize("agent", ["service-upgrade", ".claude/agents/service-upgrade", "agents/größe.md", "a b"])
def test_a_name_or_a_path_is_taken_as_it_is(agent: str) -> None:
    assert request(agent=agent).agent == agent


@pytest.mark.parametrize("budget", [0, -5, math.nan, math.inf, "much"])
def test_a_budget_that_is_no_budget_is_refused(budget: object) -> None:
    with pytest.raises(ValidationError):
        request(max_budget_usd=budget)


@pytest.mark.parametrize("prompt", ["", "  \n", "a\0b"])
def test_a_prompt_that_the_cli_cannot_take_is_refused(prompt: str) -> None:
    with pytest.raises(ValidationError):
        request(prompt=prompt)


def test_a_prompt_may_look_like_a_flag_or_a_command() -> None:
    assert [request(prompt=text).prompt for text in ("--version", "/cost", "@/etc/passwd")]
