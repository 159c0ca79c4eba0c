"""What a host leaves that does not come back, and that no automation can see: another host settles it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from job_client import Jobs
from prefect.client.orchestration import PrefectClient

from agent.settings import AgentSettings
from deployments.host.host import Host
from deployments.settings import LOST_AFTER, HostSettings
from deployments.worker.resumption import Resumptions
from deployments.worker.settlement import Settlement
from store.store import open_store

pytestmark = pytest.mark.anyio

CLAIM = "taken by the host of another machine"
AT_ONCE = timedelta()


@pytest.fixture
async def jobs(victim: Any) -> AsyncIterator[Jobs]:
    (await victim.client.post("/pause")).raise_for_status()
    yield Jobs(victim.client, victim.stage)
    (await victim.client.post("/resume")).raise_for_status()


@pytest.fixture
async def other(jobs: Jobs, tmp_path: Path) -> AsyncIterator[Settlement]:
    """Another host's, with the service's Prefect and store."""
    stage = jobs.stage
    async with (
        open_store(f"sqlite:///{stage.state_dir}/store.sqlite3") as store,
        PrefectClient(api=f"{stage.prefect_url}/api", auth_string=stage.prefect_auth) as client,
    ):
        host = Host(AgentSettings(state_dir=tmp_path), HostSettings(), store, client)
        yield Settlement(host, Resumptions(host))


async def test_what_was_taken_and_never_begun_is_given_back_once(jobs: Jobs, other: Settlement) -> None:
    taken = await in_state(jobs, ("PENDING", CLAIM))
    strange = await in_state(jobs, ("PENDING", "of somebody else's making"))
    assert await other.settle_lost(LOST_AFTER) == 0
    assert await other.settle_lost(AT_ONCE) >= 1  # another test may have left some
    assert await other.settle_lost(AT_ONCE) == 0
    assert (await state(jobs, taken), await state(jobs, strange)) == ("AwaitingRetry", "Pending")
    await in_state(jobs, ("CANCELLED", None), job_id=strange)
    (await jobs.client.post("/resume")).raise_for_status()
    assert (await jobs.finished(taken))["status"] == "completed"


async def test_what_was_to_end_and_has_not_is_cancelled(jobs: Jobs, other: Settlement) -> None:
    ending = await in_state(jobs, ("PENDING", CLAIM), ("RUNNING", None), ("CANCELLING", None))
    at_work = await in_state(jobs, ("PENDING", CLAIM), ("RUNNING", None))
    assert await other.settle_lost(AT_ONCE) >= 1
    assert (await state(jobs, ending), await state(jobs, at_work)) == ("Cancelled", "Running")
    job = await jobs.finished(ending)
    assert (job["status"], job["error"]) == ("error", "cancelled")
    events = (await jobs.client.get(f"/jobs/{ending}/transcript")).json()["events"]
    assert [event["type"] for event in events] == ["ended"]
    await in_state(jobs, ("CANCELLED", None), job_id=at_work)


async def in_state(jobs: Jobs, *states: tuple[str, str | None], job_id: str | None = None) -> str:
    """A job that Prefect was told these states of."""
    job_id = job_id or await jobs.start({"text": "here after all"})
    async with prefect(jobs) as api:
        for type, message in states:
            body = {"state": {"type": type, "message": message}}
            (await api.post(f"/flow_runs/{job_id}/set_state", json=body)).raise_for_status()
    return job_id


async def state(jobs: Jobs, job_id: str) -> str:
    async with prefect(jobs) as api:
        return str((await api.get(f"/flow_runs/{job_id}")).json()["state_name"])


def prefect(jobs: Jobs) -> httpx.AsyncClient:
    user, password = jobs.stage.prefect_auth.split(":", 1)
    return httpx.AsyncClient(base_url=f"{jobs.stage.prefect_url}/api", auth=(user, password))
