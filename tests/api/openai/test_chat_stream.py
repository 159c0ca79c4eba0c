"""A chat completion that is streamed: its chunks, and how trouble is told in it."""

import json
from typing import Any

import httpx
import pytest
from fake_host import FakeHost, client_of, result, settings
from sse import read_chunks, read_events, text_of

from agent.domain.errors import AgentBusy
from agent.domain.events import Event, Said, Started, TextDelta, ThinkingDelta, Thought, ToolCalled, ToolReturned
from agent.domain.result import Outcome

HELLO = [{"role": "user", "content": "Hello"}]
STARTED = Started(session_id="s", model="m")
SAYING: list[Event] = [STARTED, TextDelta(text="do"), TextDelta(text="ne"), Said(text="done")]
WORKING: list[Event] = [
    STARTED,
    ThinkingDelta(text="hm"),
    Thought(text="hm"),
    TextDelta(text="Looking."),
    Said(text="Looking."),
    ToolCalled(id="1", name="Bash", input={"command": "ls"}),
    ToolReturned(id="1", text="a"),
    TextDelta(text="done"),
    Said(text="done"),
]


async def stream(client: httpx.AsyncClient, **members: Any) -> httpx.Response:
    return await client.post("/v1/chat/completions", json={"messages": HELLO, "stream": True} | members)


async def chunks_of(client: httpx.AsyncClient, **members: Any) -> list[dict[str, Any]]:
    answer = await stream(client, **members)
    assert answer.status_code == 200, answer.text
    return read_chunks(answer.text)


async def test_a_stream_is_chunks_with_the_role_first_and_the_finish_reason_last(
    client: httpx.AsyncClient, host: FakeHost
) -> None:
    host.events = SAYING
    chunks = await chunks_of(client)
    assert [list(chunk) for chunk in chunks] == [["id", "object", "created", "model", "choices"]] * len(chunks)
    assert {chunk["id"] for chunk in chunks} == {f"chatcmpl-{host.left[0].hex}"}
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert {chunk["model"] for chunk in chunks} == {"claude-sonnet-4-6"}
    [choice] = chunks[0]["choices"]
    assert choice["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert chunks[-1]["choices"][0]["delta"] == {}
    assert text_of(chunks) == "done"


async def test_the_headers_keep_the_line_and_name_the_run(client: httpx.AsyncClient, host: FakeHost) -> None:
    answer = await stream(client)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["x-flow-run-id"] == str(host.left[0])
    assert answer.headers["x-request-id"]
    assert "content-length" not in answer.headers


async def test_the_usage_is_a_last_chunk_without_choices(client: httpx.AsyncClient) -> None:
    *chunks, last = await chunks_of(client, stream_options={"include_usage": True})
    assert {chunk["usage"] for chunk in chunks} == {None}
    assert last["choices"] == []
    assert last["usage"] == {
        "prompt_tokens": 7,
        "completion_tokens": 5,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 4},
    }


@pytest.mark.parametrize("options", [None, {}, {"include_usage": False}, {"include_obfuscation": True}])
async def test_without_being_asked_there_is_no_usage(client: httpx.AsyncClient, options: Any) -> None:
    assert not any("usage" in chunk for chunk in await chunks_of(client, stream_options=options))


async def test_everything_the_agent_says_is_streamed_and_ends_with_its_answer(
    client: httpx.AsyncClient, host: FakeHost
) -> None:
    host.events = WORKING
    chunks = await chunks_of(client)
    assert text_of(chunks) == "Looking.\n\ndone"
    assert text_of(chunks, "reasoning_content") == ""


async def test_an_answer_that_came_without_a_word_is_streamed_all_the_same(client: httpx.AsyncClient) -> None:
    assert text_of(await chunks_of(client)) == "done"


async def test_thinking_and_steps_are_reasoning_for_who_asks(client: httpx.AsyncClient, host: FakeHost) -> None:
    host.events = WORKING
    chunks = await chunks_of(client, include_reasoning=True)
    assert text_of(chunks, "reasoning_content") == "hm\n→ Bash ls\n← a\n"
    assert text_of(chunks) == "Looking.\n\ndone"
    whole = await client.post("/v1/chat/completions", json={"messages": HELLO, "include_reasoning": True})
    message = whole.json()["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("done", "hm\n→ Bash ls\n← a\n")


async def test_a_setting_gives_it_to_all_but_those_who_do_not_want_it(host: FakeHost) -> None:
    host.events = WORKING
    async with client_of(host, settings(openai_compat_reasoning=True)) as client:
        assert text_of(await chunks_of(client), "reasoning_content")
        assert not text_of(await chunks_of(client, include_reasoning=False), "reasoning_content")


async def test_with_a_schema_the_object_is_all_of_the_answer(client: httpx.AsyncClient, host: FakeHost) -> None:
    host.events = WORKING
    host.outcome = Outcome(result=result(structured={"n": 1}))
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    chunks = await chunks_of(client, response_format=form, include_reasoning=True)
    assert json.loads(text_of(chunks)) == {"n": 1}
    assert "Looking." in text_of(chunks, "reasoning_content")


async def test_what_goes_wrong_after_the_first_chunk_is_an_error_event_and_no_end(
    client: httpx.AsyncClient, host: FakeHost
) -> None:
    host.events = SAYING
    host.outcome = Outcome(result=result(ending="timeout"), error="agent timed out after 900 s")
    answer = await stream(client)
    *chunks, error = [json.loads(event) for event in read_events(answer.text)]
    assert answer.status_code == 200
    assert text_of(chunks) == "done"
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * len(chunks)
    assert error["detail"] == "agent timed out"
    assert error["error"] == {
        "message": "execution failed: agent timed out",
        "type": "server_error",
        "param": None,
        "code": "execution_failed",
    }


async def test_in_the_old_form_the_error_event_has_the_bare_words(host: FakeHost) -> None:
    host.events, host.outcome = SAYING, Outcome(result=result(), error="exit 1")
    async with client_of(host, settings(legacy_error_bodies=True)) as client:
        error = json.loads(read_events((await stream(client)).text)[-1])
    assert error == {"error": "execution failed", "detail": "exit 1"}


async def test_before_the_agent_gave_a_sign_of_life_it_is_a_503(client: httpx.AsyncClient, host: FakeHost) -> None:
    host.outcome = Outcome(error="claude could not be started")
    answer = await stream(client)
    assert (answer.status_code, answer.json()["detail"]) == (503, "claude could not be started")
    host.failure = AgentBusy()
    answer = await stream(client)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


async def test_a_request_that_is_wrong_is_a_400_streamed_or_not(client: httpx.AsyncClient) -> None:
    assert (await stream(client, model="gpt-4")).json()["error"]["param"] == "model"
    assert (await stream(client, n=2)).json()["error"]["param"] == "n"
