"""A host that is killed: its runs get an end as soon as it is back, and what waited is run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from uuid import UUID

import httpx
import psutil
import pytest
from job_client import Jobs
from waiting import until

from demo.model import OfflineModel
from demo.stage import Stage, set_stage
from deployments.in_flight import InFlight

pytestmark = pytest.mark.anyio

TOOL = {"tool": "Bash", "input": {"command": "echo left > left.txt; for i in $(seq 888); do sleep 0.3; done"}}


@pytest.fixture(scope="module")
def own_stage(offline_model: OfflineModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A service of this file's own, with room for one agent: its host is killed here."""
    settings = {"AGENT_CAPACITY": "1"}
    with set_stage(tmp_path_factory.mktemp("settle"), offline_model.url, settings) as stage:
        yield stage


@pytest.fixture
async def jobs(own_stage: Stage) -> AsyncIterator[Jobs]:
    headers = {"Authorization": f"Bearer {own_stage.token}"}
    async with httpx.AsyncClient(base_url=own_stage.url, headers=headers, timeout=60) as client:
        yield Jobs(client, own_stage)


def host(stage: Stage) -> psutil.Process | None:
    for process in psutil.Process(stage.process.pid).children():
        if "api.server" in process.cmdline():
            return process
    return None


async def kill_host(jobs: Jobs) -> None:
    """Kill the host, and return once another serves."""
    old = host(jobs.stage)
    assert old is not None
    old.kill()
    async with asyncio.timeout(60):
        while True:
            try:
                if (await jobs.client.get("/health")).status_code == 200:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.05)


async def test_a_run_of_a_host_that_died_has_crashed_and_what_waited_is_run(jobs: Jobs) -> None:
    dead = await jobs.start(TOOL | {"text": "I begin."})
    await until(lambda: jobs.processes("seq 888"), "the tool runs", 60)
    waiting = [await jobs.start({"text": "done"}) for _ in range(2)]
    await kill_host(jobs)

    job = await jobs.finished(dead, 10)
    assert (job["status"], job["state"]) == ("error", "Crashed")
    assert "the host died" in job["error"]
    assert jobs.processes("seq 888") == []
    for job_id in waiting:
        assert (await jobs.finished(job_id))["status"] == "completed"
    events = (await jobs.client.get(f"/jobs/{dead}/transcript")).json()["events"]
    assert [event["type"] for event in events][-1] == "ended"
    assert list((jobs.stage.state_dir / "host" / "runs").iterdir()) == []


async def test_a_run_that_was_taken_and_never_started_is_run(jobs: Jobs) -> None:
    (await jobs.client.post("/pause")).raise_for_status()
    job_id = await jobs.start({"text": "here after all"})
    claim = InFlight(jobs.stage.state_dir).claim
    user, password = jobs.stage.prefect_auth.split(":", 1)
    async with httpx.AsyncClient(base_url=f"{jobs.stage.prefect_url}/api", auth=(user, password)) as prefect:
        body = {"state": {"type": "PENDING", "message": claim}}
        (await prefect.post(f"/flow_runs/{job_id}/set_state", json=body)).raise_for_status()
    (await jobs.client.post("/resume")).raise_for_status()
    await kill_host(jobs)
    job = await jobs.finished(job_id)
    assert (job["status"], job["result"]) == ("completed", "here after all")


async def test_another_hosts_runs_are_left_alone(jobs: Jobs) -> None:
    (await jobs.client.post("/pause")).raise_for_status()
    job_id = await jobs.start({"text": "never said here"})
    user, password = jobs.stage.prefect_auth.split(":", 1)
    async with httpx.AsyncClient(base_url=f"{jobs.stage.prefect_url}/api", auth=(user, password)) as prefect:
        body = {"state": {"type": "PENDING", "message": "taken by the host of another machine"}}
        (await prefect.post(f"/flow_runs/{job_id}/set_state", json=body)).raise_for_status()
        (await jobs.client.post("/resume")).raise_for_status()
        await kill_host(jobs)
        assert (await prefect.get(f"/flow_runs/{UUID(job_id)}")).json()["state_name"] == "Pending"
    assert (await jobs.read(job_id))["status"] == "running"
