"""A host that is killed: its runs get an end as soon as it is back, and what waited is run."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
import pytest
from job_client import Jobs
from waiting import until

from benchmarks.chaos.faults import HOST, find_part, wait_until_whole
from demo.service import Stage
from deployments.host.run_records import RunRecords

pytestmark = pytest.mark.anyio

TOOL = {"tool": "Bash", "input": {"command": "echo left > left.txt; for i in $(seq 888); do sleep 0.3; done"}}


@pytest.fixture
async def jobs(victim: Any) -> Jobs:
    return Jobs(victim.client, victim.stage)


async def kill_host(jobs: Jobs) -> None:
    """Kill the host, and return once another serves."""
    host = find_part(jobs.stage, HOST)
    assert host is not None
    host.kill()
    await wait_until_whole(jobs.stage)


async def test_a_host_that_died_leaves_no_run_without_an_end(jobs: Jobs) -> None:
    dead = await jobs.start(TOOL | {"text": "I begin."})
    await until(lambda: jobs.processes("seq 888"), "the tool runs", 60)
    waiting = await jobs.start({"text": "done"})
    (await jobs.client.post("/pause")).raise_for_status()
    taken = await pending(jobs, {"text": "here after all"}, RunRecords(jobs.stage.state_dir).claim)
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
