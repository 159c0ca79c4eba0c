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
from demo.stage import Stage, set_stage, stop
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


async def test_a_host_that_died_leaves_no_run_without_an_end(jobs: Jobs) -> None:
    dead = await jobs.start(TOOL | {"text": "I begin."})
    await until(lambda: jobs.processes("seq 888"), "the tool runs", 60)
    waiting = await jobs.start({"text": "done"})
    (await jobs.client.post("/pause")).raise_for_status()
    taken = await pending(jobs, {"text": "here after all"}, InFlight(jobs.stage.state_dir).claim)
    foreign = await pending(jobs, {"text": "never said here"}, "taken by the host of another machine")
    (await jobs.client.post("/resume")).raise_for_status()
    await kill_host(jobs)

    job = await jobs.finished(dead, 10)
    assert (job["status"], job["state"]) == ("error", "Crashed")
    assert "the host died" in job["error"]
    assert jobs.processes("seq 888") == []
    events = (await jobs.client.get(f"/jobs/{dead}/transcript")).json()["events"]
    assert [event["type"] for event in events][-1] == "ended"
    # what waited is run, and what was taken and never started; what another host took is that host's
    assert (await jobs.finished(waiting))["status"] == "completed"
    job = await jobs.finished(taken)
    assert (job["status"], job["result"]) == ("completed", "here after all")
    assert (await jobs.read(foreign))["status"] == "running"
    async with prefect(jobs.stage) as api:
        assert (await api.get(f"/flow_runs/{UUID(foreign)}")).json()["state_name"] == "Pending"
    await until(lambda: not list((jobs.stage.state_dir / "host" / "runs").iterdir()), "no note of a run is left", 60)

    family = psutil.Process(jobs.stage.process.pid).children(recursive=True)
    assert len(family) >= 2
    assert stop(jobs.stage.process) == 0
    assert [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE] == []


async def pending(jobs: Jobs, answer: dict[str, str], claim: str) -> str:
    """A job that a host has taken and not started, as `claim` says which."""
    job_id = await jobs.start(answer)
    async with prefect(jobs.stage) as api:
        body = {"state": {"type": "PENDING", "message": claim}}
        (await api.post(f"/flow_runs/{job_id}/set_state", json=body)).raise_for_status()
    return job_id


def prefect(stage: Stage) -> httpx.AsyncClient:
    user, password = stage.prefect_auth.split(":", 1)
    return httpx.AsyncClient(base_url=f"{stage.prefect_url}/api", auth=(user, password))
