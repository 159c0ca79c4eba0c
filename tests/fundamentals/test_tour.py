"""The tour: what the service does, one idea a test, on the real thing."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from agent.domain.events import Said, bound, emit

if TYPE_CHECKING:
    from conftest import Service

pytestmark = pytest.mark.anyio


def script(*steps: dict[str, object]) -> str:
    """What the offline model is to do: it stands in for the real one, and everything else is real."""
    return f"offline-model: {json.dumps(steps)}"


async def result_of(service: Service, job_id: str) -> dict[str, Any]:
    """The job, once it is over: callers look again and again, or wait as here, and read one of four words."""
    async with asyncio.timeout(60):
        job = {"status": "running"}
        while job["status"] == "running":
            job = (await service.client.get(f"/jobs/{job_id}", params={"wait": 30})).json()
    return job


async def test_an_openai_client_talks_to_an_agent(service: Service) -> None:
    from openai import AsyncOpenAI  # noqa: PLC0415 - a second for each process that looks for tests

    async with AsyncOpenAI(base_url=f"{service.url}/v1", api_key=service.token) as client:
        prompt = script({"tool": "Bash", "input": {"command": "ls inbox | wc -l"}}, {"text": "letters: {tool_result}"})
        completion = await client.chat.completions.create(
            model="claude-sonnet-4-6", messages=[{"role": "user", "content": prompt}]
        )
    assert completion.choices[0].message.content == "letters: 8"


async def test_there_is_a_list_of_agents_to_ask(service: Service) -> None:
    listed = (await service.client.get("/agents")).json()
    assert [agent["name"] for agent in listed["agents"]] == ["beads-task-runner", "recruiter-triage", "service-upgrade"]
    assert all(agent["description"] for agent in listed["agents"])
    assert (await service.client.get("/agents", params={"workspace": "nowhere"})).status_code == 404
    for ref in ("nothing", "a\nb", "-x", "\x00", "..", "", "x" * 9000):
        assert (await service.client.get("/agents", params={"ref": ref})).status_code in (200, 404), ref


async def test_a_job_is_accepted_at_once_and_its_result_fetched_later(service: Service) -> None:
    accepted = await service.client.post(
        "/execute", json={"agent": "beads-task-runner", "prompt": "Take the next open task and do it."}
    )
    assert (accepted.status_code, accepted.json()["status"]) == (202, "running")
    job = await result_of(service, accepted.json()["job_id"])
    assert job["status"] == "completed"
    assert json.loads("".join(job["output"]))["type"] == "result"


async def test_a_job_is_a_flow_run_in_prefect(service: Service) -> None:
    accepted = (await service.client.post("/execute", json={"agent": "service-upgrade", "prompt": "Hello."})).json()
    async with service.prefect() as prefect:
        run = (await prefect.get(f"/flow_runs/{accepted['job_id']}")).json()
    assert run["name"] == "service-upgrade: Hello."
    assert (await result_of(service, accepted["job_id"]))["state"] == "Completed"


async def test_each_run_works_in_a_clean_checkout_and_its_work_is_kept(service: Service) -> None:
    commit = script({"tool": "Bash", "input": {"command": "echo hi > new && git add new && git commit -qm 'Say hi'"}})
    accepted = await service.client.post("/execute", json={"agent": "service-upgrade", "prompt": commit})
    job = await result_of(service, accepted.json()["job_id"])
    [made] = job["workspace"]["commits"]
    assert (made["subject"], made["pushed"]) == ("Say hi", False)
    assert job["workspace"]["kept_ref"] == f"refs/agent-runs/{accepted.json()['job_id']}"
    look = script({"tool": "Bash", "input": {"command": "ls"}}, {"text": "{tool_result}"})
    accepted = await service.client.post("/execute", json={"agent": "service-upgrade", "prompt": look})
    assert "new" not in (await result_of(service, accepted.json()["job_id"]))["result"].split()


async def test_a_schedule_makes_runs_by_itself(service: Service) -> None:
    async with service.prefect() as prefect, asyncio.timeout(100):  # Prefect may notice the change a minute later
        deployment = (await prefect.get("/deployments/name/agent_run/task-runner")).json()
        [often] = deployment["schedules"]
        schedule = f"/deployments/{deployment['id']}/schedules/{often['id']}"
        await prefect.patch(schedule, json={"active": True})
        await prefect.post(f"/deployments/{deployment['id']}/resume_deployment")
        query = {
            "flow_runs": {"deployment_id": {"any_": [deployment["id"]]}, "state": {"type": {"any_": ["COMPLETED"]}}}
        }
        try:
            while not (runs := (await prefect.post("/flow_runs/filter", json=query)).json()):
                await asyncio.sleep(0.2)
        finally:
            await prefect.patch(schedule, json={"active": False})
    assert runs[0]["auto_scheduled"] is True


def test_what_an_agent_does_goes_up_to_whoever_listens() -> None:
    heard: list[object] = []
    with bound(heard.append):
        emit(Said(text="hello"))
    emit(Said(text="nobody hears this"))
    assert heard == [Said(text="hello")]
