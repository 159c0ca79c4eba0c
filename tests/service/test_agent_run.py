"""The flow on a real Prefect server: which tasks a run has, and how often each was tried."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import FlakyTransport, Service

pytestmark = pytest.mark.anyio

TASKS = {"git_sync": 1, "invoke_agent": 1, "extract_result": 1, "publish": 1}


def directive(*steps: dict[str, object]) -> str:
    return f"offline-model: {json.dumps(steps)}"


async def chat(service: Service, prompt: str) -> str:
    body = {"messages": [{"role": "user", "content": prompt}]}
    answer = await service.client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-flow-run-id"]


async def finished(service: Service, job_id: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        job = {"status": "running"}
        while job["status"] == "running":
            job = (await service.client.get(f"/jobs/{job_id}", params={"wait": 30})).json()
    return job


async def run_job(service: Service, prompt: str, **fields: object) -> dict[str, Any]:
    body = {"agent": "recruiter-triage", "prompt": prompt} | fields
    answer = await service.client.post("/execute", json=body)
    assert answer.status_code == 202, answer.text
    return await finished(service, answer.json()["job_id"]) | {"id": answer.json()["job_id"]}


async def run_counts(service: Service, run_id: str, expected: dict[str, int]) -> dict[str, int]:
    """How often each task of the run was tried; Prefect records task runs a moment later, so until as expected."""
    query = {"task_runs": {"flow_run_id": {"any_": [run_id]}}}
    counts: dict[str, int] = {}
    async with service.prefect() as prefect, asyncio.timeout(20):
        while counts != expected:
            await asyncio.sleep(0.1)
            runs = (await prefect.post("/task_runs/filter", json=query)).json()
            counts = {run["name"].rsplit("-", 1)[0]: run["run_count"] for run in runs}
    return counts


async def flow_run(service: Service, run_id: str) -> dict[str, Any]:
    async with service.prefect() as prefect:
        run: dict[str, Any] = (await prefect.get(f"/flow_runs/{run_id}")).json()
        return run


async def test_a_chat_completion_is_one_completed_flow_run_with_its_named_tasks(service: Service) -> None:
    run_id = await chat(service, directive({"text": "hello"}))
    assert (await finished(service, run_id))["status"] == "completed"
    assert await run_counts(service, run_id, TASKS) == TASKS
    run = await flow_run(service, run_id)
    assert run["state_type"] == "COMPLETED"
    assert run["name"].startswith("recruiter-triage: ")


async def test_a_run_leaves_its_steps_in_its_log_and_its_answer_cost_and_changes_as_artifacts(service: Service) -> None:
    script = directive({"tool": "Bash", "input": {"command": "echo new | tee made.txt"}}, {"text": "a fine answer"})
    run_id = (await run_job(service, script))["id"]
    query = {"logs": {"flow_run_id": {"any_": [run_id]}}}
    async with service.prefect() as prefect, asyncio.timeout(20):
        lines: list[str] = []
        while "a fine answer" not in lines:
            await asyncio.sleep(0.1)
            lines = [log["message"] for log in (await prefect.post("/logs/filter", json=query)).json()]
    assert "→ Bash echo new | tee made.txt" in lines
    assert "← new" in lines

    query = {"artifacts": {"flow_run_id": {"any_": [run_id]}, "type": {"any_": ["markdown"]}}}
    async with service.prefect() as prefect:
        artifacts = (await prefect.post("/artifacts/filter", json=query)).json()
    text = "\n".join(artifact["data"] for artifact in artifacts)
    assert all(part in text for part in ("a fine answer", "$0.", "made.txt", "Tokens out"))
    [diff] = [artifact for artifact in artifacts if artifact["description"] == "What recruiter-triage changed in git"]
    assert "1 file changed" in diff["data"]
    assert "+new" in diff["data"]


async def test_an_overload_before_the_first_word_is_tried_again(service: Service) -> None:
    # the CLI itself gives up after two attempts, and the task's second attempt is answered
    script = directive({"error": {"status": 529, "headers": {"retry-after": "0"}}, "times": 2}, {"text": "at last"})
    job = await run_job(service, script)
    assert (job["status"], job["result"]) == ("completed", "at last")
    assert await run_counts(service, job["id"], TASKS | {"invoke_agent": 2})


async def test_an_overload_after_a_tool_ran_is_not_tried_again(service: Service) -> None:
    script = directive(
        {"tool": "Bash", "input": {"command": "true"}},
        {"error": {"status": 529, "headers": {"retry-after": "0"}}, "times": 2, "id": "after a tool"},
        {"text": "never said"},
    )
    job = await run_job(service, script)
    assert job["status"] == "failed"
    assert "529" in job["result"]
    without_result = {"git_sync": 1, "invoke_agent": 1, "extract_result": 1, "publish": 1}
    assert await run_counts(service, job["id"], without_result)


async def test_a_remote_that_fails_once_is_asked_again(service: Service, flaky: FlakyTransport) -> None:
    # the service now knows the agents there, and asks the remote for the run alone
    await run_job(service, directive({"text": "there is such an agent"}), workspace="flaky")
    flaky.fail(1)
    job = await run_job(service, directive({"text": "done"}), workspace="flaky")
    assert (job["status"], job["result"]) == ("completed", "done")
    assert await run_counts(service, job["id"], TASKS | {"git_sync": 2})


async def test_a_remote_that_stays_away_gives_the_last_good_state_and_says_so(
    service: Service, flaky: FlakyTransport
) -> None:
    await run_job(service, directive({"text": "there is a good state now"}), workspace="flaky")
    flaky.fail(1000)
    try:
        job = await run_job(service, directive({"text": "answered all the same"}), workspace="flaky")
        strict = await run_job(service, directive({"text": "no"}), workspace="flaky", strict_workspace=True)
    finally:
        flaky.fail(0)
    assert (job["status"], job["result"]) == ("completed", "answered all the same")
    assert job["workspace"]["stale"] is True
    assert strict["status"] == "error"
    assert "Could not read from remote repository" in strict["error"]


@pytest.mark.long
async def test_a_prompt_past_prefects_limit_is_kept_elsewhere_and_echoed_whole(service: Service) -> None:
    prompt = directive({"text": "read it all"}) + "\n" + "x" * 600_000
    job = await run_job(service, prompt)
    assert (job["status"], job["prompt"] == prompt) == ("completed", True)
    run = await flow_run(service, job["id"])
    assert len(json.dumps(run["parameters"])) < 10_000


BOOK: dict[str, Any] = {
    "type": "object",
    "$defs": {"Author": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
    "properties": {"author": {"$ref": "#/$defs/Author"}},
    "required": ["author"],
    "additionalProperties": False,
}
ANSWER = {"author": {"name": "Ursula K. Le Guin"}}


async def test_nothing_that_a_caller_sends_is_read_by_prefect(service: Service) -> None:
    metadata = {
        "doc": {"$ref": "#/components/x"},
        "v": {"__prefect_kind": "workspace_variable", "variable_name": "internal_endpoint"},
        "j": {"__prefect_kind": "jinja", "template": "{{ 7 * 7 }}"},
        "deep": [{"n": {"__prefect_kind": "json", "value": "1"}}],
    }
    job = await run_job(service, directive({"structured": ANSWER}), metadata=metadata, json_schema=BOOK)
    assert (job["status"], job["structured"], job["metadata"]) == ("completed", ANSWER, metadata), job
    again = await service.client.post(f"/jobs/{job['id']}/rerun")
    rerun = await finished(service, again.json()["job_id"])
    assert (rerun["structured"], rerun["metadata"]) == (ANSWER, metadata)


async def test_a_nested_model_as_response_format_is_answered(service: Service) -> None:
    prompt = directive({"structured": ANSWER})
    form = {"type": "json_schema", "json_schema": {"name": "Book", "strict": True, "schema": BOOK}}
    body = {"messages": [{"role": "user", "content": prompt}], "response_format": form}
    answer = await service.client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    assert json.loads(answer.json()["choices"][0]["message"]["content"]) == ANSWER


@pytest.mark.long
async def test_work_in_the_background_gives_the_last_answer_in_chat_and_as_a_job(service: Service) -> None:
    helper = {"description": "h", "prompt": directive({"delay_ms": 15_000, "text": "42"}), "subagent_type": "Explore"}
    server = {"command": "while true; do echo tick; sleep 1; done", "run_in_background": True}
    build = {"command": "sleep 6; echo built > built.txt", "run_in_background": True}
    later: list[dict[str, object]] = [{"text": "I will report"}, {"text": "FINAL-REPORT"}]

    def script(tool: str, given: dict[str, Any]) -> str:
        return directive({"tools": [{"tool": tool, "input": given}, {"tool": "Bash", "input": server}]}, *later)

    body = {"messages": [{"role": "user", "content": script("Bash", build)}]}
    answer, job = await asyncio.gather(
        service.client.post("/v1/chat/completions", json=body),
        run_job(service, script("Agent", helper), agent="general-purpose"),
    )
    assert answer.json()["choices"][0]["message"]["content"] == "FINAL-REPORT", answer.text
    assert (job["status"], job["result"], job["exit_code"]) == ("completed", "FINAL-REPORT", 0), job
    assert len(service.model.message_requests) == 3 + 4, "the helper's call is one of the job's"
    assert job["cost_usd"] > 0
    chatted = await finished(service, answer.headers["x-flow-run-id"])
    assert chatted["workspace"]["files_changed"] == ["built.txt"]
