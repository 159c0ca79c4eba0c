"""What callers of today are owed, point by point, over HTTP against the running service with the real CLI."""

import asyncio
import json
import time
from datetime import datetime
from typing import Any, Protocol
from uuid import uuid4

import httpx
import pytest
from sse import read_chunks, read_events, text_of
from waiting import pauses

from demo.offline_model.conversation import Conversation
from demo.offline_model.model import OfflineModel

PATIENCE_SECONDS = 60
STATUSES = {"running", "completed", "failed", "timeout", "error"}
ALWAYS = {"status", "prompt", "agent", "metadata", "started_at"}
ONCE_IT_RAN = {"exit_code", "output", "stderr", "finished_at", "result", "cost_usd"}


class Service(Protocol):
    """The fixture `service`, as these tests use it."""

    url: str
    token: str
    model: OfflineModel
    client: httpx.AsyncClient


def script(*steps: dict[str, Any]) -> str:
    """A prompt that tells the offline model what to do; each is another."""
    return f"{uuid4()} offline-model: {json.dumps(steps)}"


def stranger(service: Service, authorization: bytes | None = None) -> httpx.AsyncClient:
    """A caller without the token, or with another."""
    headers = {} if authorization is None else {b"authorization": authorization}
    return httpx.AsyncClient(base_url=service.url, headers=headers, timeout=30)  # type: ignore[arg-type]


async def execute(service: Service, **members: Any) -> str:
    answer = await service.client.post("/execute", json={"prompt": "Hello", "agent": "service-upgrade"} | members)
    assert answer.status_code == 202, answer.text
    assert answer.json()["status"] == "running"
    assert isinstance(answer.json()["job_id"], str)
    job_id: str = answer.json()["job_id"]
    return job_id


async def finished(service: Service, job_id: str) -> dict[str, Any]:
    """The job as it is at the end; on the way it is `running`, and carries what it always does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    waits = pauses()
    while True:
        answer = await service.client.get(f"/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        job: dict[str, Any] = answer.json()
        assert job["status"] in STATUSES
        assert set(job) >= ALWAYS
        if job["status"] != "running":
            return job
        assert time.monotonic() < deadline, f"job {job_id} is still running after {PATIENCE_SECONDS} s"
        await asyncio.sleep(next(waits))


async def run(service: Service, **members: Any) -> dict[str, Any]:
    return await finished(service, await execute(service, **members))


async def complete(service: Service, *messages: dict[str, Any], **members: Any) -> httpx.Response:
    said = list(messages) or [{"role": "user", "content": "Hello"}]
    return await service.client.post("/v1/chat/completions", json={"messages": said} | members)


def told(service: Service, words: str) -> Conversation:
    """What the model was told in the run whose prompt has these words; scheduled runs may be at work beside it."""
    return next(one for one in reversed(service.model.conversations) if words in one.prompt)


def says_error(answer: httpx.Response, status: int, words: str) -> dict[str, Any]:
    """OpenAI's error object, in an answer that carries `detail` too."""
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    assert isinstance(body["detail"], str)
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"].startswith(words)
    return body


# /health


async def test_health_is_open_and_says_ok_and_busy(service: Service) -> None:
    async with stranger(service) as caller:
        answer = await caller.get("/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"
    assert isinstance(answer.json()["busy"], bool)


async def test_health_is_busy_and_200_when_no_agent_can_start_at_once(service: Service) -> None:
    capacity = (await service.client.get("/health")).json()["capacity"]["agents"]
    hanging = script({"hang": True})
    jobs = [await execute(service, prompt=hanging, timeout_seconds=5) for _ in range(capacity)]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (answer := await service.client.get("/health")).json()["busy"]:
        assert time.monotonic() < deadline, "the service never was busy"
        await asyncio.sleep(0.05)
    assert answer.status_code == 200
    assert {(await finished(service, job))["status"] for job in jobs} == {"timeout"}


@pytest.mark.parametrize("path", ["/ready", "/docs", "/openapi.json"])
async def test_these_are_open_too(service: Service, path: str) -> None:
    async with stranger(service) as caller:
        assert (await caller.get(path)).status_code == 200


# Authentication


@pytest.mark.parametrize(
    ("authorization", "detail"),
    [
        (None, "Missing bearer token"),
        (b"Basic dXNlcjpwYXNz", "Missing bearer token"),
        (b"Bearer wrong", "Invalid token"),
        ("Bearer schlüssel".encode(), "Invalid token"),
        (b"Bearer \xff\x80", "Invalid token"),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/execute"),
        ("GET", "/jobs/x"),
        ("POST", "/v1/chat/completions"),
        ("GET", "/metrics"),
        ("GET", "/nowhere"),
    ],
)
async def test_everything_else_wants_the_token_before_it_looks_at_the_body(
    service: Service, method: str, path: str, authorization: bytes | None, detail: str
) -> None:
    async with stranger(service, authorization) as caller:
        answer = await caller.request(method, path, content=b"not json")
    assert answer.status_code == 401
    assert answer.json()["detail"] == detail


# /execute


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"prompt": "x"},
        {"agent": "x"},
        {"prompt": 5, "agent": "x"},
        {"prompt": "x", "agent": ["x"]},
        {"prompt": "x", "agent": "x", "metadata": "x"},
        {"prompt": "x", "agent": "x", "max_budget_usd": 0},
        {"prompt": "x", "agent": "x", "max_budget_usd": 1000.5},
        {"prompt": "x", "agent": "x", "timeout_seconds": 0},
        {"prompt": "x", "agent": "x", "timeout_seconds": 86_401},
        {"prompt": "x", "agent": "--version"},
        {"prompt": "x", "agent": "../../etc/passwd"},
        {"prompt": "x", "agent": "a\0b"},
        {"prompt": "x", "agent": "a\nb"},
        {"prompt": "a\0b", "agent": "x"},
        [],
    ],
)
async def test_a_missing_or_wrong_member_is_a_422_with_a_list(service: Service, body: Any) -> None:
    answer = await service.client.post("/execute", json=body)
    assert answer.status_code == 422
    assert all({"type", "loc", "msg"} <= set(error) for error in answer.json()["detail"])


async def test_the_bounds_themselves_are_allowed_and_unknown_members_ignored(service: Service) -> None:
    job = await run(service, max_budget_usd=1000, timeout_seconds=86_400, metadata=None, unheard_of={"x": [1]})
    assert job["status"] == "completed"
    assert job["metadata"] is None


# /jobs/{job_id}


@pytest.mark.parametrize("job_id", ["x", "a3bb189e-8bf9-4c1a-9f3e-0d7f2b6c5e41"])
async def test_an_unknown_job_is_not_found(service: Service, job_id: str) -> None:
    answer = await service.client.get(f"/jobs/{job_id}")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Job not found"})


async def test_a_run_of_another_flow_is_no_job(service: Service) -> None:
    async with service.prefect() as prefect:  # type: ignore[attr-defined]
        flow = (await prefect.post("/flows/", json={"name": "some-other-flow"})).json()
        flow_run = (await prefect.post("/flow_runs/", json={"flow_id": flow["id"]})).json()
    answer = await service.client.get(f"/jobs/{flow_run['id']}")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Job not found"})


async def test_a_completed_job_carries_all_of_it(service: Service) -> None:
    prompt = script({"tool": "Bash", "input": {"command": "echo from-the-shell"}}, {"text": "It said {tool_result}"})
    agent = ".claude/agents/service-upgrade"
    metadata = {"ticket": "ops-1", "nested": {"list": [1, 2.5, None, True, "ü"]}}
    job = await run(service, prompt=prompt, agent=agent, metadata=metadata)
    assert job["status"] == "completed"
    assert set(job) >= ALWAYS | ONCE_IT_RAN
    assert "error" not in job
    assert (job["prompt"], job["agent"], job["metadata"]) == (prompt, agent, metadata)
    assert datetime.fromisoformat(job["started_at"]).tzinfo
    assert datetime.fromisoformat(job["started_at"]) <= datetime.fromisoformat(job["finished_at"])
    assert job["exit_code"] == 0
    assert all(isinstance(line, str) for line in job["output"])
    printed = json.loads("".join(job["output"]))
    assert (printed["type"], printed["is_error"]) == ("result", False)
    assert "It said from-the-shell" in printed["result"]
    assert job["result"] == printed["result"]
    assert job["cost_usd"] == printed["total_cost_usd"] > 0


async def test_a_path_and_a_name_mean_the_same_agent_and_its_file_decides_on_the_model(service: Service) -> None:
    prompt = script({"echo": "system"})
    asked = ["beads-task-runner", ".claude/agents/beads-task-runner.md"]
    jobs = await asyncio.gather(*(run(service, prompt=prompt, agent=agent) for agent in asked))
    assert [job["status"] for job in jobs] == ["completed"] * 2
    assert [job["agent"] for job in jobs] == asked
    assert all("You are beads-task-runner" in job["result"] for job in jobs)
    assert "sonnet" in told(service, prompt).model


async def test_what_the_cli_calls_an_error_is_failed(service: Service) -> None:
    job = await run(service, prompt=script({"error": {"status": 400, "message": "no such luck"}}))
    assert job["status"] == "failed"
    assert set(job) >= ALWAYS | ONCE_IT_RAN
    assert json.loads("".join(job["output"]))["is_error"] is True


async def test_a_budget_that_ran_out_is_failed(service: Service) -> None:
    usage = {"output_tokens": 100_000_000}
    job = await run(service, prompt=script({"tool": "Bash", "input": {"command": "ls"}, "usage": usage}))
    assert job["status"] == "failed"
    assert job["cost_usd"] > 5


async def test_past_its_time_a_job_is_timeout(service: Service) -> None:
    job = await run(service, prompt=script({"hang": True}), timeout_seconds=3)
    assert (job["status"], job["state"]) == ("timeout", "TimedOut")
    assert set(job) >= ALWAYS | ONCE_IT_RAN
    ran = datetime.fromisoformat(job["finished_at"]) - datetime.fromisoformat(job["started_at"])
    assert ran.total_seconds() >= 3


async def test_what_could_not_be_run_is_an_error_in_one_line(service: Service) -> None:
    job = await run(service, ref="no-such-branch")
    assert job["status"] == "error"
    assert "no-such-branch" in job["error"]
    assert "\n" not in job["error"]


async def test_an_agent_that_does_not_exist_is_refused_with_those_that_do(service: Service) -> None:
    answer = await service.client.post("/execute", json={"prompt": "hi", "agent": "nobody"})
    assert answer.status_code == 422
    [wrong] = answer.json()["detail"]
    assert wrong["loc"] == ["body", "agent"]
    assert "recruiter-triage" in wrong["msg"]


async def test_a_prompt_is_text_whatever_it_looks_like(service: Service) -> None:
    prompts = ["--version", "/cost", "@/etc/passwd"]
    jobs = await asyncio.gather(*(run(service, prompt=prompt) for prompt in prompts))
    assert [job["status"] for job in jobs] == ["completed"] * 3
    assert {told.prompt.strip() for told in service.model.conversations} >= set(prompts)
    assert not any("root:" in told.prompt for told in service.model.conversations)


async def test_a_prompt_too_large_for_prefect_is_answered_as_it_was_submitted(service: Service) -> None:
    prompt = script({"text": "read"}) + " é" * 300_000
    job = await run(service, prompt=prompt)
    assert (job["status"], job["result"]) == ("completed", "read")
    assert job["prompt"] == prompt


async def test_a_result_of_a_megabyte_on_one_line_arrives_whole(service: Service) -> None:
    job = await run(service, prompt=script({"repeat": {"bytes": 1_000_000}, "usage": {"output_tokens": 5}}))
    assert job["status"] == "completed"
    assert len(job["result"]) == 1_000_000
    assert json.loads("".join(job["output"]))["result"] == job["result"]


# /v1/chat/completions


async def test_a_chat_completion_has_openai_s_shape_and_the_default_model_and_is_a_flow_run(service: Service) -> None:
    prompt = script({"text": "fine"})
    answer = await complete(service, {"role": "user", "content": prompt})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["id"].startswith("chatcmpl-")
    assert body["object"] == "chat.completion"
    assert abs(body["created"] - time.time()) < PATIENCE_SECONDS
    assert body["model"] == told(service, prompt).model == "claude-sonnet-4-6"
    assert len(body["choices"]) == 1
    assert body["choices"][0]["message"]["role"] == "assistant"
    assert body["choices"][0]["message"]["content"] == "fine"
    assert body["choices"][0]["finish_reason"] == "stop"
    usage = body["usage"]
    assert usage["prompt_tokens"] > 0
    assert usage["completion_tokens"] > 0
    assert usage["prompt_tokens"] + usage["completion_tokens"] == usage["total_tokens"]
    job = await finished(service, answer.headers["x-flow-run-id"])
    assert (job["status"], job["agent"], job["result"]) == ("completed", "recruiter-triage", "fine")


async def test_the_model_asked_for_wins_over_the_agent_s_own(service: Service) -> None:
    answer = await complete(service, {"role": "user", "content": "Who are you?"}, model="opus")
    assert answer.json()["model"] == "opus"
    assert "opus" in told(service, "Who are you?").model


async def test_system_messages_are_instructions_and_user_messages_stay_in_order(service: Service) -> None:
    answer = await complete(
        service,
        {"role": "system", "content": "Speak like a lighthouse keeper."},
        {"role": "user", "content": "first of all"},
        {"role": "user", "content": [{"type": "text", "text": "and then"}]},
    )
    assert answer.status_code == 200, answer.text
    conversation = told(service, "first of all")
    assert "Speak like a lighthouse keeper." in conversation.system
    assert "You are recruiter-triage" in conversation.system
    assert conversation.prompt.strip() == "first of all\n\nand then"


async def test_an_unlisted_model_is_refused_with_those_that_are(service: Service) -> None:
    body = says_error(await complete(service, model="gpt-4"), 400, "unsupported model")
    assert body["error"]["param"] == "model"
    assert body["supported"] == sorted(
        ["claude-haiku-4-5", "claude-sonnet-4-6", "claude-opus-4-7", "haiku", "sonnet", "opus"]
    )


async def test_streamed_it_comes_in_chunks_and_ends_as_openai_s(service: Service) -> None:
    prompt = script(
        {"text": "One moment.", "tool": "Bash", "input": {"command": "echo from-the-shell"}},
        {"text": "It said {tool_result} and no more.", "chunks": 4, "chunk_delay_ms": 20},
    )
    answer = await complete(
        service, {"role": "user", "content": prompt}, stream=True, stream_options={"include_usage": True}
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    *chunks, last = read_chunks(answer.text)
    job = await finished(service, answer.headers["x-flow-run-id"])
    assert text_of(chunks) == f"One moment.\n\n{job['result']}" == "One moment.\n\nIt said from-the-shell and no more."
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] > 0
    assert len(chunks) >= 5


async def test_streamed_trouble_is_never_a_normal_end(service: Service) -> None:
    failure = script({"text": "I will.", "tool": "Bash", "input": {"command": "true"}}, {"error": {"status": 400}})
    answer = await complete(service, {"role": "user", "content": failure}, stream=True)
    assert answer.status_code == 200
    *chunks, error = [json.loads(event) for event in read_events(answer.text)]
    assert text_of(chunks) == "I will."
    assert error["error"]["message"].startswith("execution failed")
    assert error["detail"]


@pytest.mark.parametrize("messages", [[], None, "Hello", [{"role": "system", "content": ""}], [{"role": "user"}]])
async def test_under_v1_validation_is_a_400(service: Service, messages: Any) -> None:
    body = says_error(await complete(service, messages=messages), 400, "messages")
    assert body["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("member", "value"),
    [("n", 2), ("logprobs", True), ("top_logprobs", 1), ("audio", {}), ("tool_choice", "required")],
)
async def test_what_would_not_be_honoured_is_refused_by_name(service: Service, member: str, value: Any) -> None:
    body = says_error(await complete(service, **{member: value}), 400, f"Unsupported parameter: '{member}'")
    assert body["error"]["param"] == member


async def test_harmless_and_unknown_members_are_tolerated(service: Service) -> None:
    tools = [{"type": "function", "function": {"name": "x", "parameters": {}}}]
    answer = await complete(
        service, temperature=0, top_p=1, seed=1, user="u", max_tokens=9, store=False, tools=tools, unheard_of=1
    )
    assert answer.status_code == 200, answer.text


async def test_execution_trouble_is_a_503_with_the_cause_in_one_line(service: Service) -> None:
    failure = {"error": {"status": 400, "message": "no such luck " * 40}}
    answer = await complete(service, {"role": "user", "content": script(failure)})
    body = says_error(answer, 503, "execution failed")
    assert 0 < len(body["detail"]) <= 200
    assert "\n" not in body["detail"]
    assert answer.headers["x-should-retry"] == "false"
    assert answer.headers["x-flow-run-id"]


async def test_answers_carry_a_request_id(service: Service) -> None:
    answer = await service.client.get("/health", headers={"x-request-id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    assert (await service.client.get("/nowhere")).headers["x-request-id"]
