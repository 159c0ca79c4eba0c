"""GET /jobs/{job_id}: every status, with what belongs to it."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fake_host import STARTED, FakeHost, result
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Cancelled, Completed, Crashed, Failed, Running

from agent.domain.request import AgentRequest
from agent.domain.result import Outcome
from deployments.prefect_client.calls import PrefectUnavailable

UNKNOWN = "a3bb189e-8bf9-4c1a-9f3e-0d7f2b6c5e41"

REQUEST = AgentRequest(prompt="Do it.", agent=".claude/agents/service-upgrade", metadata={"ticket": 1})
ALWAYS = {"job_id", "status", "state", "flow_run_url", "prompt", "agent", "metadata", "started_at"} | {
    "phase",
    "trigger",
    "created_at",
}
RAN = {"exit_code", "output", "stderr", "result", "cost_usd", "finished_at"} | {
    "model",
    "turns",
    "usage",
    "duration_seconds",
}


async def read(client: httpx.AsyncClient, job_id: object) -> dict[str, Any]:
    answer = await client.get(f"/jobs/{job_id}")
    assert answer.status_code == 200, answer.text
    job: dict[str, Any] = answer.json()
    return job


async def test_a_running_job_has_what_was_submitted(client: httpx.AsyncClient, host: FakeHost) -> None:
    job = await read(client, host.add_run(REQUEST, Running(name="Retrying")))
    assert set(job) == ALWAYS
    assert (job["status"], job["state"]) == ("running", "Retrying")
    assert (job["prompt"], job["agent"], job["metadata"]) == ("Do it.", REQUEST.agent, {"ticket": 1})
    assert datetime.fromisoformat(job["started_at"]) == STARTED
    assert job["started_at"].endswith("+00:00")


async def test_a_completed_job_has_what_the_agent_gave(client: httpx.AsyncClient, host: FakeHost) -> None:
    job = await read(client, host.add_run(REQUEST, Completed(), Outcome(result=result("fine"))))
    assert set(job) == ALWAYS | RAN
    assert job["status"] == "completed"
    assert json.loads("".join(job["output"])) == {"result": "fine"}
    assert (job["result"], job["cost_usd"], job["exit_code"], job["stderr"]) == ("fine", 0.25, 0, "")
    assert job["finished_at"].endswith("+00:00")


async def test_a_structured_answer_is_there_too(client: httpx.AsyncClient, host: FakeHost) -> None:
    job = await read(client, host.add_run(REQUEST, Completed(), Outcome(result=result(structured={"n": 1}))))
    assert job["structured"] == {"n": 1}


async def test_a_failed_job_has_what_the_agent_gave(client: httpx.AsyncClient, host: FakeHost) -> None:
    given = result(exit_code=1, text=None, stderr="boom", error="boom", cost_usd=None)
    job = await read(client, host.add_run(REQUEST, Failed(message="boom"), Outcome(result=given, error="boom")))
    assert set(job) == ALWAYS | RAN
    assert (job["status"], job["exit_code"], job["stderr"]) == ("failed", 1, "boom")
    assert (job["result"], job["cost_usd"]) == (None, None)


async def test_a_job_out_of_time_says_timeout(client: httpx.AsyncClient, host: FakeHost) -> None:
    state: State[Any] = State(type=StateType.FAILED, name="TimedOut")
    job = await read(client, host.add_run(REQUEST, state, Outcome(result=result(exit_code=None), error="too late")))
    assert set(job) == ALWAYS | RAN
    assert job["status"] == "timeout"


async def test_a_job_that_never_ran_says_why(client: httpx.AsyncClient, host: FakeHost) -> None:
    job = await read(client, host.add_run(REQUEST, Failed(), Outcome(error="agent 'x' not found;\nhave: y")))
    assert set(job) == ALWAYS | {"error", "finished_at"}
    assert (job["status"], job["error"]) == ("error", "agent 'x' not found; have: y")


@pytest.mark.parametrize("state", [Crashed(message="the host\ndied"), Failed(message="the host died")])
async def test_what_prefect_noted_stands_in_for_a_missing_outcome(
    client: httpx.AsyncClient, host: FakeHost, state: State[Any]
) -> None:
    job = await read(client, host.add_run(REQUEST, state))
    assert (job["status"], job["error"]) == ("error", "the host died")


async def test_an_error_is_never_empty(client: httpx.AsyncClient, host: FakeHost) -> None:
    job = await read(client, host.add_run(REQUEST, Crashed(message=None)))
    assert job["error"] == "the run ended as Crashed"


async def test_a_cancelled_job_has_what_it_gave_so_far(client: httpx.AsyncClient, host: FakeHost) -> None:
    outcome = Outcome(result=result(exit_code=None), error="cancelled")
    job = await read(client, host.add_run(REQUEST, Cancelled(), outcome))
    assert set(job) == ALWAYS | RAN | {"error"}
    assert (job["status"], job["error"]) == ("error", "cancelled")


async def test_an_outcome_that_is_kept_before_the_end_is_not_told_before_it(
    client: httpx.AsyncClient, host: FakeHost
) -> None:
    job = await read(client, host.add_run(REQUEST, Running(), Outcome(result=result())))
    assert set(job) == ALWAYS


async def test_a_large_prompt_is_answered_as_it_was_submitted(client: httpx.AsyncClient, host: FakeHost) -> None:
    prompt = "é" * 600_000
    host.store.inputs.kept["large"] = json.dumps({"content": prompt, "instructions": None})
    small = REQUEST.model_copy(update={"prompt": prompt[:2000], "input_id": "large"})
    assert (await read(client, host.add_run(small, Running())))["prompt"] == prompt


async def test_a_large_prompt_that_was_trimmed_leaves_its_beginning(client: httpx.AsyncClient, host: FakeHost) -> None:
    small = REQUEST.model_copy(update={"input_id": "gone"})
    assert (await read(client, host.add_run(small, Running())))["prompt"] == "Do it."


@pytest.mark.parametrize("job_id", [UNKNOWN, "x", "0", "..%2Fhealth", "%00", "é", "a" * 5000, UNKNOWN.replace("-", "")])
async def test_an_unknown_job_is_not_found(client: httpx.AsyncClient, job_id: object) -> None:
    answer = await client.get(f"/jobs/{job_id}")
    assert answer.status_code == 404
    assert "not found" in answer.json()["detail"]
    if "%2F" not in str(job_id):
        assert answer.json() == {"detail": "Job not found"}


async def test_a_run_started_from_prefect_s_form_is_a_job_as_well(client: httpx.AsyncClient, host: FakeHost) -> None:
    job = await read(client, host.add_run({"prompt": "x", "agent": "a"}, Running()))
    assert (job["prompt"], job["metadata"]) == ("x", None)


async def test_prefect_away_is_a_503_with_the_reason(client: httpx.AsyncClient, host: FakeHost) -> None:
    host.failure = PrefectUnavailable("no answer within 2.5 s")
    answer = await client.get(f"/jobs/{uuid4()}")
    assert answer.status_code == 503
    assert "no answer within 2.5 s" in answer.json()["detail"]


async def test_a_caller_that_waits_waits_while_prefect_is_too_busy_to_answer(
    client: httpx.AsyncClient, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = host.add_run(REQUEST, Completed(), Outcome(result=result()))
    asked, find = 0, host.find

    async def find_later(run_id: UUID) -> FlowRun | None:
        nonlocal asked
        asked += 1
        if asked <= 3:
            raise PrefectUnavailable("no answer within 2.5 s")
        return await find(run_id)

    monkeypatch.setattr(host, "find", find_later)
    answer = await client.get(f"/jobs/{job_id}", params={"wait": 30})
    assert (answer.status_code, answer.json()["status"]) == (200, "completed")


async def test_a_triage_that_failed_says_why(client: httpx.AsyncClient, host: FakeHost) -> None:
    triage = {"name": "issues", "source": {"type": "list", "items": []}, "agent": "a"}
    cause = "2 of 3 items failed, and max_failed_share allows 50%; the first: it broke"
    outcome = Outcome(result=result(exit_code=None, error=cause), error=cause)
    job = await read(client, host.add_run(triage, Failed(), outcome))
    assert (job["status"], job["error"]) == ("failed", cause)
