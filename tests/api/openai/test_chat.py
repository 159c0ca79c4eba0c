"""POST /v1/chat/completions: what is asked of the agent, and how its end is told."""

import json
from base64 import b64encode
from typing import Any

import httpx
import pytest
from fake_host import FakeHost, client_of, result, settings

from agent.domain.errors import AgentBusy, RequestRefused
from agent.domain.request import AgentRequest
from agent.domain.result import Outcome
from api.openai.prompt import RECORD
from deployments.prefect_client.calls import PrefectUnavailable

HELLO = [{"role": "user", "content": "Hello"}]
MODELS = ["claude-haiku-4-5", "claude-opus-4-7", "claude-sonnet-4-6", "haiku", "opus", "sonnet"]


async def complete(client: httpx.AsyncClient, **members: Any) -> httpx.Response:
    return await client.post("/v1/chat/completions", json={"messages": HELLO} | members)


def refused(answer: httpx.Response) -> dict[str, Any]:
    """OpenAI's error object of a 400 that carries `detail` as well."""
    assert answer.status_code == 400, answer.text
    assert isinstance(answer.json()["detail"], str)
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    return error


async def failed(client: httpx.AsyncClient, host: FakeHost, outcome: Outcome) -> httpx.Response:
    host.outcome = outcome
    answer = await complete(client)
    assert answer.status_code == 503
    assert answer.json()["error"]["message"].startswith("execution failed")
    assert answer.json()["error"]["type"] == "server_error"
    return answer


async def test_an_answer_is_a_chat_completion(client: httpx.AsyncClient) -> None:
    answer = await complete(client)
    body = answer.json()
    assert answer.status_code == 200
    assert body["id"].startswith("chatcmpl-")
    assert isinstance(body["created"], int)
    assert body | {"id": "", "created": 0} == {
        "id": "",
        "created": 0,
        "object": "chat.completion",
        "model": "claude-sonnet-4-6",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "done", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 7,
            "completion_tokens": 5,
            "total_tokens": 12,
            "prompt_tokens_details": {"cached_tokens": 4},
        },
    }


async def test_the_headers_name_the_run_and_its_cost(client: httpx.AsyncClient, host: FakeHost) -> None:
    answer = await complete(client)
    assert [answer.headers["x-flow-run-id"]] == [str(run_id) for run_id in host.left]
    assert float(answer.headers["x-cost-usd"]) == 0.25
    assert "x-should-retry" not in answer.headers


async def test_the_agent_its_budget_and_its_time_are_configured(host: FakeHost) -> None:
    configured = settings(
        openai_compat_agent="clerk",
        openai_compat_budget_usd=0.1,
        openai_compat_timeout_seconds=30,
        queue_wait_seconds=7,
    )
    async with client_of(host, configured) as client:
        await complete(client, max_budget_usd=100, timeout_seconds=10_000, agent="root", max_tokens=5)
    assert host.inline_runs == [
        {
            "request": AgentRequest(
                prompt="Hello", agent="clerk", model="claude-sonnet-4-6", max_budget_usd=0.1, timeout_seconds=30
            ),
            "tags": ["trigger:chat"],
            "wait_seconds": 7,
            "content": None,
        }
    ]


@pytest.mark.parametrize("model", MODELS)
async def test_the_model_asked_for_is_used_and_named(client: httpx.AsyncClient, host: FakeHost, model: str) -> None:
    answer = await complete(client, model=model)
    assert answer.json()["model"] == model
    assert host.inline_runs[0]["request"].model == model


@pytest.mark.parametrize("model", ["gpt-4o", "", "SONNET", "--version", "claude-sonnet-4-6 ", "x" * 10_000])
async def test_another_model_is_unsupported(client: httpx.AsyncClient, host: FakeHost, model: str) -> None:
    answer = await complete(client, model=model)
    error = refused(answer)
    assert error["message"].startswith("unsupported model")
    assert (error["param"], error["code"]) == ("model", "model_not_found")
    assert answer.json()["supported"] == MODELS
    assert len(answer.content) < 2000
    assert host.inline_runs == []


async def test_the_models_are_configured(host: FakeHost) -> None:
    configured = settings(supported_models="b,a", default_model="c")
    async with client_of(host, configured) as client:
        assert (await complete(client)).json()["model"] == "c"
        assert (await complete(client, model="c")).status_code == 200
        assert (await complete(client, model="haiku")).json()["supported"] == ["a", "b", "c"]


async def test_system_messages_are_instructions_and_users_the_prompt(client: httpx.AsyncClient, host: FakeHost) -> None:
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "one"},
        {"role": "user", "content": [{"type": "text", "text": "two"}]},
    ]
    assert (await complete(client, messages=messages)).status_code == 200
    request = host.inline_runs[0]["request"]
    assert (request.instructions, request.prompt) == ("Be kind.", "one\n\ntwo")


async def test_earlier_turns_are_part_of_what_the_agent_sees(client: httpx.AsyncClient, host: FakeHost) -> None:
    messages = [*HELLO, {"role": "assistant", "content": "Yes?"}, {"role": "user", "content": "Go on."}]
    assert (await complete(client, messages=messages)).status_code == 200
    request = host.inline_runs[0]["request"]
    assert request.instructions == RECORD
    assert [json.loads(line)["content"] for line in request.prompt.splitlines()] == ["Hello", "Yes?", "Go on."]


async def test_images_reach_the_agent_as_content(client: httpx.AsyncClient, host: FakeHost) -> None:
    data = b64encode(b"\xff\xd8\xff photo").decode()
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data[:6]}\n{data[6:]}"}}
    assert (await complete(client, messages=[{"role": "user", "content": [image]}])).status_code == 200
    source = {"type": "base64", "media_type": "image/jpeg", "data": data}
    assert host.inline_runs[0]["content"] == [{"type": "image", "source": source}]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("n", 2),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("modalities", ["text", "audio"]),
        ("tool_choice", "required"),
        ("tool_choice", {"type": "function", "function": {"name": "x"}}),
        ("function_call", {"name": "x"}),
    ],
)
async def test_what_we_do_not_do_is_refused_by_name(
    client: httpx.AsyncClient, host: FakeHost, member: str, value: Any
) -> None:
    error = refused(await complete(client, **{member: value}))
    assert error["param"] == member
    assert error["message"].startswith(f"Unsupported parameter: '{member}' ")
    assert error["code"] == "unsupported_parameter"
    assert host.inline_runs == []


@pytest.mark.parametrize(
    "members",
    [
        {"n": 1, "logprobs": False, "top_logprobs": 0, "stop": None, "audio": None, "modalities": ["text"]},
        {"stop": []},
        {"tool_choice": {"type": "auto"}},
        {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}},
        {"temperature": 0.3, "top_p": 1, "seed": 7, "user": "u", "max_tokens": 5, "store": True},
        {"presence_penalty": 1, "frequency_penalty": -1, "logit_bias": {"1": 2}},
        {"tools": [{"type": "function", "function": {"name": "x"}}]},
        {"tools": [], "tool_choice": "auto"},
        {"tool_choice": "none"},
        {"function_call": "none"},
        {"stream": False, "stream_options": None},
        {"stream": None, "model": None},
        {"unheard_of": {"deep": [1]}},
        {"response_format": {"type": "text"}},
    ],
)
async def test_what_does_no_harm_is_taken(client: httpx.AsyncClient, members: dict[str, Any]) -> None:
    assert (await complete(client, **members)).status_code == 200


async def test_the_answer_is_cut_where_a_stop_sequence_begins(client: httpx.AsyncClient, host: FakeHost) -> None:
    host.outcome = Outcome(result=result("Thought: look\nObservation: none\nFinal: x"))
    answer = await complete(client, stop=["Final:", "\nObservation:"])
    choice = answer.json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Thought: look", "stop")


@pytest.mark.parametrize(
    ("effort", "level"), [("none", "low"), ("minimal", "low"), ("medium", "medium"), ("xhigh", "xhigh"), (None, None)]
)
async def test_reasoning_effort_is_the_cli_s_effort(
    client: httpx.AsyncClient, host: FakeHost, effort: str | None, level: str | None
) -> None:
    assert (await complete(client, reasoning_effort=effort)).status_code == 200
    assert host.inline_runs[0]["request"].effort == level


async def test_a_schema_is_asked_of_the_agent_and_its_object_is_the_answer(
    client: httpx.AsyncClient, host: FakeHost
) -> None:
    host.outcome = Outcome(result=result("prose", structured={"size": "groß"}))
    schema = {"type": "object", "properties": {"size": {"type": "string"}}}
    form = {"type": "json_schema", "json_schema": {"name": "size", "strict": True, "schema": schema}}
    answer = await complete(client, response_format=form)
    assert host.inline_runs[0]["request"].json_schema == schema
    assert answer.json()["choices"][0]["message"]["content"] == '{"size": "groß"}'


async def test_json_object_asks_for_any_object(client: httpx.AsyncClient, host: FakeHost) -> None:
    await complete(client, response_format={"type": "json_object"})
    assert host.inline_runs[0]["request"].json_schema == {"type": "object"}


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": "Hello"}, "messages"),
        ({"messages": [{"role": "system", "content": " "}]}, "messages"),
        ({"messages": [{"role": "user", "content": "a\0"}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [*HELLO, {"role": "robot", "content": "x"}]}, "messages[1]"),
        ({"model": 5}, "model"),
        ({"stream": "perhaps"}, "stream"),
        ({"n": 0}, "n"),
        ({"response_format": {"type": "yaml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"reasoning_effort": "colossal"}, "reasoning_effort"),
    ],
)
async def test_a_request_that_is_wrong_is_a_400_that_says_where(
    client: httpx.AsyncClient, members: dict[str, Any], param: str
) -> None:
    error = refused(await complete(client, **members))
    assert error["param"] == param
    assert error["message"].startswith(param)


async def test_a_refusal_does_not_repeat_what_it_refuses(client: httpx.AsyncClient) -> None:
    answer = await complete(client, messages=[{"role": "r" * 100_000, "content": "x"}])
    refused(answer)
    assert len(answer.content) < 2000


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{", b'{"messages": NaN}', b'{"messages": [{"role": "user", "content": "\\udc00"}]}']
)
async def test_what_is_not_json_is_a_400(client: httpx.AsyncClient, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    refused(await client.post("/v1/chat/completions", content=body, headers=headers))


@pytest.mark.parametrize(
    ("outcome", "detail"),
    [
        (Outcome(result=result(ending="timeout"), error="agent timed out after 900 s"), "agent timed out"),
        (Outcome(result=result(ending="stalled"), error="agent said nothing"), "agent said nothing"),
        (Outcome(result=result(exit_code=3), error="exit 3"), "exit 3"),
        (Outcome(result=result(), error="Reached maximum budget ($2)"), "Reached maximum budget ($2)"),
        (Outcome(error="claude could not be started: not executable"), "claude could not be started: not executable"),
        (Outcome(error="two\nlines"), "two lines"),
        (Outcome(), "the run ended without an answer"),
    ],
)
async def test_execution_trouble_is_a_503_with_its_cause(
    client: httpx.AsyncClient, host: FakeHost, outcome: Outcome, detail: str
) -> None:
    answer = await failed(client, host, outcome)
    assert answer.json()["detail"] == detail
    assert answer.json()["error"]["message"] == f"execution failed: {detail}"


async def test_a_long_cause_is_cut_to_its_end(client: httpx.AsyncClient, host: FakeHost) -> None:
    answer = await failed(client, host, Outcome(result=result(), error="x" * 500 + " the end"))
    assert len(answer.json()["detail"]) == 200
    assert answer.json()["detail"].endswith("the end")


async def test_once_an_agent_has_started_clients_are_told_not_to_try_again(
    client: httpx.AsyncClient, host: FakeHost
) -> None:
    answer = await failed(client, host, Outcome(result=result(), error="exit 1"))
    assert answer.headers["x-should-retry"] == "false"
    assert "retry-after" not in answer.headers
    assert float(answer.headers["x-cost-usd"]) == 0.25
    assert answer.headers["x-flow-run-id"] == str(host.left[0])


async def test_before_that_they_may(client: httpx.AsyncClient, host: FakeHost) -> None:
    answer = await failed(client, host, Outcome(error="no agent started"))
    assert "x-should-retry" not in answer.headers
    assert answer.headers["retry-after"] == "5"


@pytest.mark.parametrize(
    ("failure", "detail", "code"),
    [
        (AgentBusy(), "agent is busy", "agent_busy"),
        (PrefectUnavailable("x"), "Prefect's API is not available: x; try again shortly", "execution_failed"),
    ],
)
async def test_no_slot_and_no_prefect_are_503_too(
    client: httpx.AsyncClient, host: FakeHost, failure: Exception, detail: str, code: str
) -> None:
    host.failure = failure
    answer = await complete(client)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["detail"] == detail
    assert answer.json()["error"] == {
        "message": f"execution failed: {detail}",
        "type": "server_error",
        "param": None,
        "code": code,
    }


async def test_a_configured_budget_past_the_operator_s_own_maximum_is_refused(
    client: httpx.AsyncClient, host: FakeHost
) -> None:
    host.failure = RequestRefused("max_budget_usd must be at most 1")
    assert refused(await complete(client))["message"] == "max_budget_usd must be at most 1"
