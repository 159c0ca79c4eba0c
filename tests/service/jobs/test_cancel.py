"""A job that is cancelled ends as Cancelled, whatever it is doing and wherever that was asked for."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from job_client import Jobs
from waiting import is_alive, until

from demo.service import Stage

if TYPE_CHECKING:
    from conftest import FlakyTransport, Service


pytestmark = pytest.mark.anyio

TOOL = {"tool": "Bash", "input": {"command": "echo left > left.txt; for i in $(seq 777); do sleep 0.3; done"}}


async def by_api(jobs: Jobs, service: Service, job_id: str) -> None:
    assert (await jobs.cancel(job_id))["job_id"] == job_id


async def by_prefect(jobs: Jobs, service: Service, job_id: str) -> None:
    """As the button in Prefect's UI does it."""
    async with service.prefect() as prefect:
        body = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
        (await prefect.post(f"/flow_runs/{job_id}/set_state", json=body)).raise_for_status()


async def by_terminal(jobs: Jobs, service: Service, job_id: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli.main", "cancel", job_id, env=terminal(service.stage), stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    assert (process.returncode, printed) == (0, b"Cancelled: cancelled\n")


def terminal(stage: Stage) -> dict[str, str]:
    port = stage.url.rsplit(":", 1)[1]
    names = {name: os.environ[name] for name in ("PATH", "HOME")}
    return names | {"API_PORT": port, "API_BEARER_TOKEN": stage.token}


def places(usual: Any) -> pytest.MarkDecorator:
    """From each of the three places; from `usual` in every run of the tests."""
    others = [place for place in (by_api, by_prefect, by_terminal) if place is not usual]
    return pytest.mark.parametrize(
        "cancel", [usual, *(pytest.param(place, marks=pytest.mark.long) for place in others)]
    )


async def cancelled(jobs: Jobs, job_id: str) -> dict[str, Any]:
    job = await jobs.finished(job_id, 60)
    assert (job["status"], job["state"], job["error"]) == ("error", "Cancelled", "cancelled")
    assert jobs.processes(job_id) == []
    return job


@places(by_api)
async def test_a_job_that_waits_never_starts(jobs: Jobs, service: Service, cancel: Any) -> None:
    (await service.client.post("/pause")).raise_for_status()
    try:
        job_id = await jobs.start({"text": "never said"})
        await cancel(jobs, service, job_id)
        job = await cancelled(jobs, job_id)
    finally:
        (await service.client.post("/resume")).raise_for_status()
    assert "result" not in job


@places(by_prefect)
async def test_a_job_that_waits_for_its_workspace(
    jobs: Jobs, service: Service, flaky: FlakyTransport, cancel: Any
) -> None:
    flaky.delay(50)
    try:
        job_id = await jobs.start({"text": "never said"}, workspace="flaky")
        await until(lambda: jobs.processes("upload-pack"), "git asks the remote", 60)
        await cancel(jobs, service, job_id)
        job = await cancelled(jobs, job_id)
    finally:
        flaky.delay(0)
    assert "result" not in job
    assert jobs.processes("upload-pack") == []


@places(by_terminal)
async def test_a_job_whose_agent_thinks(jobs: Jobs, service: Service, cancel: Any) -> None:
    job_id = await jobs.start({"hang": True})
    await until(lambda: jobs.processes(job_id), "the agent is at work", 60)
    seen = jobs.processes(job_id)
    await cancel(jobs, service, job_id)
    job = await cancelled(jobs, job_id)
    assert job["result"] is None
    assert not [process for process in seen if is_alive(process)]


@places(by_api)
async def test_a_job_in_a_tool_tells_what_was_spent_and_left(jobs: Jobs, service: Service, cancel: Any) -> None:
    job_id = await jobs.start(TOOL)
    await until(lambda: jobs.processes("seq 777"), "the tool runs", 60)
    await cancel(jobs, service, job_id)
    job = await cancelled(jobs, job_id)
    assert jobs.processes("seq 777") == []
    assert job["workspace"]["files_changed"] == ["left.txt"]
    assert job["workspace"]["kept_ref"] == f"refs/agent-runs/{job_id}"
    assert job["cost_usd"] > 0


@places(by_prefect)
async def test_a_job_whose_result_is_being_kept(jobs: Jobs, service: Service, cancel: Any) -> None:
    large = "head -c 12000000 /dev/urandom > large.bin; split -b 20000 large.bin part.; rm large.bin"
    job_id = await jobs.start({"tool": "Bash", "input": {"command": large}}, {"text": "all done"})
    await until(lambda: jobs.processes(job_id), "the agent is at work", 60)
    await until(lambda: not jobs.processes(job_id), "the agent has ended", 60)
    assert (await jobs.read(job_id))["status"] == "running"
    await cancel(jobs, service, job_id)
    job = await cancelled(jobs, job_id)
    assert job["result"] == "all done"
    assert job["workspace"]["kept_ref"] == f"refs/agent-runs/{job_id}"


async def test_at_any_moment_between_its_claim_and_its_start(jobs: Jobs, service: Service) -> None:
    for pause_seconds in (0, 0.2):
        job_id = await jobs.start({"hang": True})
        await asyncio.sleep(pause_seconds)
        await jobs.cancel(job_id)
        await cancelled(jobs, job_id)


async def test_a_chat_that_is_cancelled_in_prefect_is_told(jobs: Jobs, service: Service) -> None:
    mark = uuid4().hex
    body = {"messages": [{"role": "user", "content": f'{mark} offline-model: {{"hang": true}}'}]}
    chat = asyncio.create_task(service.client.post("/v1/chat/completions", json=body))
    query = {"flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}
    async with service.prefect() as prefect, asyncio.timeout(30):
        running: list[Any] = []
        while not running:
            found = (await prefect.post("/flow_runs/filter", json=query)).json()
            running = [run for run in found if mark in json.dumps(run["parameters"])]
            await asyncio.sleep(0.05)
    await by_prefect(jobs, service, running[0]["id"])
    answer = await asyncio.wait_for(chat, 60)
    assert (answer.status_code, answer.json()["detail"]) == (503, "cancelled")
    await cancelled(jobs, running[0]["id"])


async def test_to_cancel_again_changes_nothing(jobs: Jobs) -> None:
    job_id = await jobs.start({"hang": True})
    await asyncio.gather(*(jobs.cancel(job_id) for _ in range(5)))
    job = await cancelled(jobs, job_id)
    assert await jobs.cancel(job_id) == job


async def test_a_job_that_is_over_stays_as_it_is(jobs: Jobs) -> None:
    job_id = await jobs.start({"text": "well"})
    job = await jobs.finished(job_id)
    assert await jobs.cancel(job_id) == job
    assert job["status"] == "completed"


async def test_a_job_that_there_is_not(jobs: Jobs) -> None:
    assert (await jobs.client.post(f"/jobs/{uuid4()}/cancel")).status_code == 404
