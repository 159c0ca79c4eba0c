import json
from datetime import UTC, datetime
from typing import Any

import pytest

from agent.claude.result_message import read_result
from agent.domain.errors import AgentFailed, AgentOverloaded, AgentTimedOut, EndedBadly
from agent.domain.request import AgentRequest
from agent.domain.result import Invocation, Refusal
from agent.system.text import shorten_cause

REQUEST = AgentRequest(prompt="hi", agent="tester")
SUCCESS = {"type": "result", "subtype": "success", "is_error": False, "result": "ok", "total_cost_usd": 0.1}


def invocation(message: dict[str, Any] | None, **fields: object) -> Invocation:
    now = datetime.now(UTC)
    line = None if message is None else json.dumps(message)
    default = {"started_at": now, "finished_at": now, "ending": "exit", "acted": True, "exit_code": 0}
    return Invocation.model_validate({**default, "result_line": line, **fields})


def failure(message: dict[str, Any] | None, request: AgentRequest = REQUEST, **fields: object) -> EndedBadly:
    with pytest.raises(EndedBadly) as caught:
        read_result(request, invocation(message, **fields))
    return caught.value


def test_a_good_ending_gives_text_cost_and_the_object_as_printed() -> None:
    result = read_result(REQUEST, invocation(SUCCESS))
    assert (result.text, result.cost_usd, json.loads("".join(result.output))) == ("ok", 0.1, SUCCESS)


def test_exit_zero_with_is_error_is_a_failure() -> None:
    assert isinstance(failure(SUCCESS | {"is_error": True, "result": "no"}), AgentFailed)


def test_a_budget_that_ran_out_says_so() -> None:
    message = {"type": "result", "subtype": "error_max_budget_usd", "errors": ["Reached maximum budget ($1)"]}
    assert str(failure(message, exit_code=1)) == "Reached maximum budget ($1)"


def test_a_result_with_another_exit_code_is_a_failure_with_the_end_of_stderr() -> None:
    assert str(failure(SUCCESS, exit_code=3, stderr="boom\n")) == "boom"
    assert str(failure(SUCCESS, exit_code=3)) == "exit 3"
    assert str(failure(SUCCESS, exit_code=137)).startswith("exit 137: killed, most likely out of memory")


def test_text_without_a_result_message_is_the_answer() -> None:
    result = read_result(REQUEST, invocation(None, printed="plain words\n"))
    assert (result.text, result.output) == ("plain words", ["plain words\n"])


def test_nothing_printed_at_all_is_a_failure() -> None:
    assert "nothing" in str(failure(None))


def test_an_overload_before_anything_was_done_can_be_tried_again() -> None:
    message = {"type": "result", "subtype": "success", "is_error": True, "terminal_reason": "api_error"}
    before = failure(message | {"api_error_status": 529, "result": "Overloaded"}, acted=False, exit_code=1)
    after = failure(message | {"api_error_status": 529, "result": "Overloaded"}, acted=True, exit_code=1)
    refused = failure(message | {"api_error_status": 401, "result": "Invalid key"}, acted=False, exit_code=1)
    assert (type(before), before.retryable) == (AgentOverloaded, True)
    assert (type(after), after.retryable) == (AgentFailed, False)
    assert (type(refused), refused.retryable) == (AgentFailed, False)
    slowed = failure(message | {"api_error_status": 429, "result": "slow down"}, acted=False, exit_code=1)
    assert (type(slowed), slowed.retryable) == (AgentOverloaded, True)
    limit = Refusal(kind="usage_limit", scope="everybody", message="used up")
    lasting = failure(message | {"api_error_status": 429, "result": "used up"}, acted=False, exit_code=1, refusal=limit)
    assert (type(lasting), lasting.retryable) == (AgentFailed, False)


@pytest.mark.parametrize("ending", ["timeout", "stalled"])
def test_a_run_past_its_time_is_a_timeout_whatever_it_printed(ending: str) -> None:
    error = failure(SUCCESS, ending=ending)
    assert isinstance(error, AgentTimedOut)
    assert isinstance(error, TimeoutError)
    assert error.result.cost_usd == 0.1


def test_prose_where_a_schema_was_asked_for_is_a_failure() -> None:
    asked = REQUEST.model_copy(update={"json_schema": {"type": "object"}})
    assert "schema" in str(failure(SUCCESS, asked))
    assert read_result(asked, invocation(SUCCESS | {"structured_output": {}})).structured == {}


def test_tokens_are_those_of_all_models_together() -> None:
    models = {"a": {"inputTokens": 3, "cacheReadInputTokens": 2, "outputTokens": 1}, "b": {"inputTokens": 4}}
    usage = read_result(REQUEST, invocation(SUCCESS | {"modelUsage": models})).usage
    assert (usage.prompt_tokens, usage.output_tokens) == (9, 1)


def test_a_cause_is_one_line_of_at_most_200_characters_and_keeps_its_end() -> None:
    line = shorten_cause("first\n" * 100 + "the end")
    assert len(line) == 200
    assert line.endswith("the end")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("total_cost_usd", "x"),
        ("total_cost_usd", -1000),
        ("total_cost_usd", float("nan")),
        ("total_cost_usd", 1e308),
        ("modelUsage", {"m": None}),
        ("modelUsage", {"m": {"inputTokens": "many", "outputTokens": -5}}),
        ("num_turns", 1.5),
        ("session_id", 7),
        ("result", {"not": "text"}),
        ("errors", "none"),
    ],
)
def test_a_malformed_result_is_a_result_all_the_same(field: str, value: object) -> None:
    result = read_result(REQUEST, invocation(SUCCESS | {field: value}))
    assert result.usage.prompt_tokens == 0
    assert result.cost_usd in (None, 0.1)


def test_a_structured_answer_that_is_nested_too_deep_is_cut_there() -> None:
    nested: Any = 1
    for _ in range(300):
        nested = [nested]
    result = read_result(REQUEST, invocation(SUCCESS | {"structured_output": nested}))
    assert "nested too deep" in json.dumps(result.structured)


@pytest.mark.parametrize("reason", ["hook_stopped", "stop_hook_prevented", "tool_deferred", "background_requested"])
def test_an_end_that_is_not_the_agents_own_is_told_with_its_reason(reason: str) -> None:
    assert "FROZEN" in str(failure(SUCCESS | {"terminal_reason": reason}, hook_reason="FROZEN"))


def test_a_prompt_that_a_hook_refused_is_told_with_its_reason() -> None:
    assert "FROZEN" in str(failure(SUCCESS, hook_reason="FROZEN", acted=False))


def test_a_refusal_of_the_model_is_told() -> None:
    assert "refused: I will not" in str(failure(SUCCESS | {"stop_reason": "refusal", "result": "I will not"}))
