"""Directives are found where callers put them, and steps follow from the conversation."""

import json
from typing import Any

import pytest

from demo.offline_model.answer import compose_answer
from demo.offline_model.conversation import Conversation, read_conversation
from demo.offline_model.messages import Answer, Text, encode_message, encode_stream, split_text
from demo.offline_model.script import FINISHED, DirectiveError, RequestCounter, find_script, next_step, parse_script

Body = dict[str, Any]


def told(*messages: tuple[str, Any], **members: Any) -> Conversation:
    body: Body = {"model": "m", "messages": [{"role": role, "content": content} for role, content in messages]}
    return read_conversation(body | members)


def texts(*sources: str) -> list[str | None]:
    script = find_script(*sources)
    return [step.text for step in script.steps] if script else []


@pytest.mark.parametrize(
    "prompt",
    [
        'offline-model: [{"text": "x"}]',
        'Please.\n  offline-model: {"text": "x"} and thank you',
        'User: offline-model:\n[\n  {"text": "x"}\n]\n',
        'offline-model: [{"text": "not this"}] offline-model: [{"text": "x"}]',
        'offline-model: is what I am called. offline-model: [{"text": "x"}]',
        json.dumps({"item": 'offline-model: [{"text": "x"}]'}),
    ],
)
def test_a_directive_is_found_wherever_it_lies(prompt: str) -> None:
    assert texts(prompt) == ["x"]


def test_a_directive_inside_another_is_left_to_the_subagent() -> None:
    inner = 'offline-model: [{"text": "{tool_result}"}]'
    script = find_script("offline-model: " + json.dumps([{"tool": "Agent", "input": {"prompt": inner}}]))
    assert script
    answer = compose_answer(script.steps[0], told(("user", "x")))
    assert answer.content[-1].model_dump()["input"] == {"prompt": inner}


def test_the_first_text_with_a_directive_wins() -> None:
    assert texts("no directive", 'offline-model: [{"text": "system"}]') == ["system"]
    assert texts("nothing", "at all") == []


@pytest.mark.parametrize("source", ['[{"text": "x"', '[{"txet": "x"}]', "[1]", '[{"text": "x", "chunks": 0}]'])
def test_a_directive_that_cannot_be_followed_is_an_error(source: str) -> None:
    with pytest.raises(DirectiveError, match="offline-model:"):
        find_script(f"offline-model: {source}")


def test_interruptions_come_as_often_as_asked_for_and_then_the_next_step() -> None:
    script = parse_script('[{"text": "a"}, {"error": {}, "times": 2}, {"cut": true, "times": 1}, {"text": "b"}]')
    tally = RequestCounter()
    assert next_step(script, 0, tally).text == "a"
    second = [next_step(script, 1, tally) for _ in range(4)]
    assert [bool(step.error) for step in second] == [True, True, False, False]
    assert [step.cut for step in second] == [False, False, True, False]
    assert second[-1].text == "b"
    assert next_step(script, 2, tally) == FINISHED
    tally.clear()
    assert next_step(script, 1, tally).error


def test_an_interruption_without_times_never_ends() -> None:
    script, tally = parse_script('[{"error": {"status": 429}}, {"text": "b"}]'), RequestCounter()
    assert all(next_step(script, 0, tally).error for _ in range(20))


def test_reminders_and_nudges_are_not_the_prompt() -> None:
    conversation = told(
        (
            "user",
            [{"type": "text", "text": "<system-reminder>be\nkind</system-reminder>\n"}, {"type": "text", "text": "hi"}],
        ),
        ("system", " - Primary working directory: /pier\n - more"),
        ("assistant", "first"),
        ("user", "[structured-output-enforce] You MUST"),
        ("assistant", [{"type": "text", "text": "second"}]),
        ("user", "<system-reminder>\na task has ended\n</system-reminder>"),
    )
    assert conversation.prompt == "hi"
    assert conversation.turn == 2
    assert conversation.working_directory == "/pier"


def test_tool_results_are_matched_to_their_calls() -> None:
    uses = [{"type": "tool_use", "id": f"t{n}", "name": "Read", "input": {"n": n}} for n in (1, 2)]
    results = [
        {"type": "tool_result", "tool_use_id": "t2", "content": "two", "is_error": True},
        {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "one"}]},
    ]
    earlier = [("user", "before"), ("assistant", [{**uses[0], "id": "t0"}]), ("user", "now")]
    conversation = told(*earlier, ("assistant", uses[:1]), ("assistant", uses[1:]), ("user", results))
    assert [(call.input["n"], call.result, call.is_error) for call in conversation.calls] == [
        (1, "one", False),
        (2, "two", True),
    ]
    assert conversation.turn == 1


def test_a_prompt_that_was_folded_into_tool_results_counts_only_with_a_directive() -> None:
    def folded(text: str) -> Conversation:
        result = {"type": "tool_result", "tool_use_id": "t", "content": "r"}
        use = {"type": "tool_use", "id": "t", "name": "Bash", "input": {}}
        return told(("user", "first"), ("assistant", [use]), ("user", [result, {"type": "text", "text": text}]))

    assert folded("by the way").prompt == "first"
    assert folded('offline-model: {"text": "x"}').turn == 0


def test_images_are_counted_in_tool_results_too() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "abcd"}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [image]}
    conversation = told(("user", [image, {"type": "text", "text": "x"}]), ("user", [result]))
    assert [(seen.media_type, seen.characters) for seen in conversation.images] == [("image/png", 4)] * 2


def test_an_echo_of_the_request_tells_everything_but_no_key() -> None:
    conversation = told(("user", "hi"), system="be kind", tools=[{"name": "Bash"}], output_config={"effort": "low"})
    (step,) = parse_script('[{"text": "-> ", "echo": "request"}]').steps
    (block,) = compose_answer(step, conversation).content
    assert isinstance(block, Text)
    echoed = json.loads(block.text.removeprefix("-> "))
    assert echoed["system"] == "be kind"
    assert echoed["tools"] == ["Bash"]
    assert echoed["effort"] == "low"
    assert echoed["messages"] == [{"role": "user", "text": "hi"}]


def test_usage_grows_with_the_text_but_not_past_a_budget() -> None:
    (large,) = parse_script('[{"repeat": {"bytes": 1000000}}]').steps
    (given,) = parse_script('[{"text": "x", "usage": {"input_tokens": 7}}]').steps
    assert compose_answer(large, told(("user", "x" * 10**6))).usage.output_tokens == 8_000
    assert compose_answer(large, told(("user", "x" * 10**6))).usage.input_tokens == 50_000
    assert compose_answer(given, told(("user", "x" * 400))).usage.input_tokens == 7
    assert compose_answer(given, told(("user", "x" * 400))).usage.output_tokens == 1


def test_an_empty_text_is_an_answer_without_content() -> None:
    (step,) = parse_script('{"text": ""}').steps
    assert compose_answer(step, told(("user", "hi"))).content == ()


def an_answer(step: str) -> Answer:
    (parsed,) = parse_script(step).steps
    return compose_answer(parsed, told(("user", "hi")))


def test_the_stream_and_the_message_say_the_same() -> None:
    answer = an_answer('{"thinking": "hm", "text": "abc", "chunks": 3, "tool": "Bash", "input": {"command": "ls"}}')
    message = json.loads(encode_message(answer))
    events = [
        json.loads(line[6:]) for line in b"".join(encode_stream(answer)).decode().splitlines() if line[:5] == "data:"
    ]
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert [block["type"] for block in message["content"]] == ["thinking", "text", "tool_use"]
    assert "".join(delta.get("text", "") for delta in deltas) == message["content"][1]["text"]
    assert json.loads("".join(delta.get("partial_json", "") for delta in deltas)) == {"command": "ls"}
    assert events[-2]["delta"]["stop_reason"] == message["stop_reason"] == "tool_use"
    assert events[-2]["usage"] == message["usage"]


def test_a_stream_has_a_part_for_each_delta_of_text() -> None:
    answer = an_answer('{"text": "abcdef", "chunks": 3}')
    assert len(encode_stream(answer)) == 3
    assert b"message_stop" in encode_stream(answer)[-1]
    assert not any(b"content_block_stop" in part for part in encode_stream(answer, whole=False))


@pytest.mark.parametrize(("length", "chunks", "count"), [(0, 3, 1), (2, 5, 2), (10, 3, 3), (200_000, 1, 4)])
def test_text_is_split_without_loss(length: int, chunks: int, count: int) -> None:
    pieces = split_text("x" * length, chunks)
    assert len(pieces) == count
    assert sum(map(len, pieces)) == length
