"""What is deleted in Prefect under the service: a run at work ends, and `apply` brings the rest back."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from job_client import Jobs
from waiting import until

if TYPE_CHECKING:
    from conftest import Service

pytestmark = pytest.mark.anyio

AT_WORK = {"tool": "Bash", "input": {"command": "for i in $(seq 666); do sleep 0.3; done"}}


async def delete(service: Service, path: str) -> None:
    async with service.prefect() as prefect:
        (await prefect.delete(path)).raise_for_status()


async def start_at_work(jobs: Jobs) -> str:
    job_id = await jobs.start(AT_WORK)
    await until(lambda: jobs.processes(job_id), "the agent is at work", 60)
    return job_id


async def free(service: Service) -> bool:
    capacity = (await service.client.get("/health")).json()["capacity"]
    return bool(capacity["free"] == capacity["agents"])


async def all_free(service: Service) -> None:
    async with asyncio.timeout(30):
        while not await free(service):
            await asyncio.sleep(0.1)


async def test_the_agent_of_a_run_that_was_deleted_is_ended(jobs: Jobs, service: Service) -> None:
    job_id = await start_at_work(jobs)
    await delete(service, f"/flow_runs/{job_id}")
    await until(lambda: not jobs.processes(job_id), "its agent is ended", 30)
    await all_free(service)
    assert (await service.client.get(f"/jobs/{job_id}")).status_code == 404
    assert not (service.stage.state_dir / "host" / "runs" / job_id).exists()


async def test_a_run_that_was_deleted_can_be_cancelled(jobs: Jobs, service: Service) -> None:
    job_id = await start_at_work(jobs)
    await delete(service, f"/flow_runs/{job_id}")
    job = await jobs.cancel(job_id)
    assert (job["job_id"], job["status"]) == (job_id, "running")
    await until(lambda: not jobs.processes(job_id), "its agent is ended", 30)
    await all_free(service)


async def test_a_run_that_prefect_has_as_over_stays_so_and_its_agent_is_ended(jobs: Jobs, service: Service) -> None:
    """As the automation for lost runs does it to a host that was cut off for long."""
    job_id = await start_at_work(jobs)
    async with service.prefect() as prefect:
        body = {"state": {"type": "CRASHED", "message": "its host died"}, "force": True}
        (await prefect.post(f"/flow_runs/{job_id}/set_state", json=body)).raise_for_status()
    await until(lambda: not jobs.processes(job_id), "its agent is ended", 30)
    await all_free(service)
    job = await jobs.read(job_id)
    assert (job["status"], job["state"]) == ("error", "Crashed")


async def test_deployments_pools_and_schedules_come_back_with_apply(jobs: Jobs, service: Service) -> None:
    async with service.prefect() as prefect:
        found = (await prefect.get("/deployments/name/agent_run/agent-run")).json()
        scheduled = await schedules(prefect)
        assert scheduled
        await delete(service, f"/deployments/{found['id']}")
        answer = await service.client.post("/execute", json={"agent": "recruiter-triage", "prompt": "hello"})
        assert (answer.status_code, "agent-service apply" in answer.json()["detail"]) == (503, True)
        (await service.client.post("/register")).raise_for_status()
        assert (await jobs.finished(await jobs.start({"text": "back"})))["status"] == "completed"

        for deployment, schedule in scheduled:
            await delete(service, f"/deployments/{deployment}/schedules/{schedule}")
        await delete(service, "/work_pools/agents")
        answer = await service.client.post("/pause")
        assert (answer.status_code, "agent-service apply" in answer.json()["detail"]) == (503, True)
        (await service.client.post("/register")).raise_for_status()
        assert len(await schedules(prefect)) == len(scheduled)
        (await service.client.post("/resume")).raise_for_status()
        assert (await jobs.finished(await jobs.start({"text": "back"})))["result"] == "back"


async def test_a_flow_comes_back_with_apply_for_jobs_and_for_chats(jobs: Jobs, service: Service) -> None:
    async with service.prefect() as prefect:
        flow = (await prefect.get("/flows/name/agent_run")).json()["id"]
    await delete(service, f"/flows/{UUID(flow)}")
    (await service.client.post("/register")).raise_for_status()
    chat = {"messages": [{"role": "user", "content": 'offline-model: {"text": "chat is back"}'}]}
    answer = await service.client.post("/v1/chat/completions", json=chat)
    assert answer.json()["choices"][0]["message"]["content"] == "chat is back"
    job = await jobs.finished(await jobs.start({"text": "job is back"}))
    assert (job["status"], job["result"]) == ("completed", "job is back")


async def schedules(prefect: Any) -> list[tuple[str, str]]:
    deployments = (await prefect.post("/deployments/filter", json={})).json()
    return [(one["id"], schedule["id"]) for one in deployments for schedule in one["schedules"]]


async def test_a_pause_holds_those_in_line_and_cancel_ends_jobs_and_chats(jobs: Jobs, service: Service) -> None:
    capacity = (await service.client.get("/health")).json()["capacity"]["agents"]
    prompt = f"offline-model: {json.dumps([AT_WORK])}"
    chat = {"messages": [{"role": "user", "content": prompt}]}
    job_id = await start_at_work(jobs)
    chats = [asyncio.create_task(service.client.post("/v1/chat/completions", json=chat)) for _ in range(capacity + 3)]
    try:
        async with asyncio.timeout(60):
            while (await service.client.get("/health")).json()["capacity"]["waiting"] < 4:
                await asyncio.sleep(0.1)
        answer = await service.client.post("/pause", json={"cancel": True})
        assert answer.json()["cancelled"] == capacity
        answers = await asyncio.gather(*chats)
        details = sorted(answer.json()["detail"] for answer in answers)
        assert {answer.status_code for answer in answers} == {503}
        assert details.count("cancelled") == capacity - 1
        assert len([detail for detail in details if "paused" in detail]) == 4
        assert (await jobs.finished(job_id))["state"] == "Cancelled"
        await all_free(service)
    finally:
        (await service.client.post("/resume")).raise_for_status()
