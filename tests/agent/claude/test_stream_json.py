import json

import pytest

from agent.claude.stream_json import TOOL_RESULT_LIMIT, parse_line, read_events
from agent.domain.events import ModelRetried, Said, TextDelta, ToolCalled, ToolReturned


@pytest.mark.parametrize("line", ["", "hello", "[1]", '"a"', "{", '{"result": "no type"}', "[" * 100_000])
def test_a_line_that_is_no_message_is_none(line: str) -> None:
    assert parse_line(line) is None


def test_half_a_pair_of_surrogates_is_replaced_and_a_whole_one_is_kept() -> None:
    message = parse_line('{"type": "t", "half": "a\\ud83d", "whole": "\\ud83d\\ude00", "list": ["\\udc00"]}')
    assert message == {"type": "t", "half": "a\ufffd", "whole": "\U0001f600", "list": ["\ufffd"]}


def assistant(*blocks: object, parent: str | None = None, model: str = "m") -> dict[str, object]:
    return {"type": "assistant", "parent_tool_use_id": parent, "message": {"model": model, "content": list(blocks)}}


def test_text_and_tools_of_an_answer_become_events_in_order() -> None:
    call = {"type": "tool_use", "id": "1", "name": "Bash", "input": {"command": "ls"}}
    events = read_events(assistant({"type": "text", "text": "hi"}, call))
    assert events == [Said(text="hi"), ToolCalled(id="1", name="Bash", input={"command": "ls"})]


def test_what_a_subagent_says_is_not_said_by_the_agent() -> None:
    call = {"type": "tool_use", "id": "1", "name": "Bash", "input": {}}
    events = read_events(assistant({"type": "text", "text": "hi"}, call, parent="task"))
    assert events == [ToolCalled(id="1", name="Bash", input={})]


def test_a_message_that_the_cli_made_up_is_not_the_models_text() -> None:
    assert read_events(assistant({"type": "text", "text": "API Error"}, model="<synthetic>")) == []


def test_a_delta_is_an_event() -> None:
    delta = {"delta": {"type": "text_delta", "text": "h"}}
    assert read_events({"type": "stream_event", "parent_tool_use_id": None, "event": delta}) == [TextDelta(text="h")]


@pytest.mark.parametrize("content", ["out", [{"type": "text", "text": "out"}]])
def test_a_tool_result_comes_as_text_or_blocks(content: object) -> None:
    block = {"type": "tool_result", "tool_use_id": "1", "content": content, "is_error": True}
    assert read_events({"type": "user", "message": {"content": [block]}}) == [
        ToolReturned(id="1", text="out", is_error=True)
    ]


def test_a_huge_tool_result_is_cut_in_the_event() -> None:
    block = {"type": "tool_result", "tool_use_id": "1", "content": "x" * 10_000_000}
    [event] = read_events({"type": "user", "message": {"content": [block]}})
    assert isinstance(event, ToolReturned)
    assert len(event.text) < TOOL_RESULT_LIMIT + 100


def test_a_retry_says_what_was_refused_and_how_long_it_waits() -> None:
    message = {"type": "system", "subtype": "api_retry", "attempt": 1, "retry_delay_ms": 535, "error_status": 529}
    assert read_events(message) == [ModelRetried(attempt=1, status=529, error="", delay_seconds=0.535)]


@pytest.mark.parametrize(
    "message",
    [
        {"type": "assistant"},
        {"type": "assistant", "message": None},
        {"type": "assistant", "message": {"content": [None, 1, {"type": "text"}]}},
        {"type": "user", "message": {"content": "text"}},
        {"type": "stream_event", "event": None},
        {"type": "news"},
    ],
)
def test_a_message_of_another_shape_is_no_event(message: dict[str, object]) -> None:
    assert read_events(json.loads(json.dumps(message))) == []


def test_an_input_that_is_nested_too_deep_is_an_event_all_the_same() -> None:
    deep = "[" * 300 + "]" * 300
    message = parse_line(
        json.dumps(assistant()).replace("[]", f'[{{"type":"tool_use","id":"1","name":"T","input":{deep}}}]')
    )
    assert message is not None
    [called] = read_events(message)
    assert "nested too deep" in called.model_dump_json()


def test_numbers_that_are_none_are_left_out() -> None:
    assert parse_line('{"type": "t", "a": NaN, "b": -Infinity}') == {"type": "t", "a": None, "b": None}


@pytest.mark.parametrize("field", ["attempt", "error_status", "error", "retry_delay_ms"])
@pytest.mark.parametrize("value", ["x", None, [], 1e400, -1])
def test_a_malformed_retry_is_an_event_all_the_same(field: str, value: object) -> None:
    [event] = read_events({"type": "system", "subtype": "api_retry", field: value})
    assert isinstance(event, ModelRetried)


def test_a_malformed_start_and_usage_are_events_all_the_same() -> None:
    assert len(read_events({"type": "system", "subtype": "init", "agents": 7})) == 1
    delta = {"type": "message_delta", "usage": {"input_tokens": "x", "output_tokens": True}}
    assert len(read_events({"type": "stream_event", "event": delta})) == 1
