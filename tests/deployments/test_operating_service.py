"""A whole service on a small disk, with its log as JSON and its traces collected: as docs/operating.md says."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from otlp_collector import Collector, attributes, collecting, tree
from small_disk import small_disk
from waiting import until

from demo.offline_model.model import OfflineModel
from demo.service import Stage, set_stage

pytestmark = pytest.mark.long

MB = 1024 * 1024


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as server:
        yield server


@pytest.fixture(scope="module")
def observed(
    collector: Collector, offline_model: OfflineModel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    settings = {
        "AGENT_CAPACITY": "1",
        "LOG_FORMAT": "json",
        "TRACES_ENDPOINT": collector.url,
        "MIN_FREE_DISK_MB": "300",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    with (
        small_disk(tmp_path_factory.mktemp("observed") / "disk", size_mb=1500) as disk,
        set_stage(disk, offline_model.url, settings) as stage,
    ):
        yield stage


@pytest.fixture
async def client(observed: Stage) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {observed.token}"}
    async with httpx.AsyncClient(base_url=observed.url, headers=headers, timeout=90) as client:
        yield client


async def run_job(client: httpx.AsyncClient, **members: Any) -> dict[str, Any]:
    body = {"agent": ".claude/agents/service-upgrade", "prompt": "hello", **members}
    answer = await client.post("/execute", json=body)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = (await client.get(f"/jobs/{answer.json()['job_id']}", params={"wait": 80})).json()
    return job


async def test_a_run_is_a_trace_of_its_four_tasks_and_its_tool_calls(
    client: httpx.AsyncClient, collector: Collector
) -> None:
    steps = [{"tool": "Bash", "input": {"command": "echo hello"}}, {"text": "done"}]
    job = await run_job(client, prompt=f"offline-model: {json.dumps(steps)}")
    assert job["status"] == "completed", job
    run_id = UUID(job["job_id"])

    def spans() -> list[Any]:
        return [span for span in collector.spans if span.trace_id == run_id.bytes]

    await until(lambda: any(span.name == "agent_run" for span in spans()), "the run's trace")
    assert tree(spans()) == [
        ("agent_run", None),
        ("execute_tool Bash", "invoke_agent"),
        ("extract_result", "agent_run"),
        ("git_sync", "agent_run"),
        ("invoke_agent", "agent_run"),
        ("publish", "agent_run"),
    ]
    [root] = [span for span in spans() if span.name == "agent_run"]
    assert attributes(root)["gen_ai.agent.name"] == "service-upgrade"
    assert attributes(root)["agent_service.cost_usd"] == job["cost_usd"]


async def test_every_line_of_the_log_is_an_object_and_those_of_a_run_say_so(
    client: httpx.AsyncClient, observed: Stage
) -> None:
    job = await run_job(client)
    said = [line for line in observed.log().splitlines() if not line.startswith(("prefect ready: ", "host ready: "))]
    lines = [json.loads(line) for line in said]
    assert {line.get("run_id") for line in lines} >= {job["job_id"]}
    assert observed.token not in observed.log()


async def test_a_full_disk_refuses_work_lets_jobs_wait_and_is_forgotten_once_there_is_room(
    client: httpx.AsyncClient, observed: Stage
) -> None:
    ballast = observed.directory / "ballast"
    free = os.statvfs(observed.directory)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - 200 * MB)
    await poll_health(client, busy=True)
    assert (await client.get("/health")).json()["disk"] == "low"
    refused = await client.post("/execute", json={"agent": "service-upgrade", "prompt": "hello"})
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "60")
    assert isinstance(refused.json()["detail"], str)
    chat = await client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "hello"}]})
    assert (chat.status_code, chat.json()["error"]["code"]) == (503, "disk_full")

    waiting = await queue_in_prefect(observed)
    await asyncio.sleep(3)  # three times the poll of the queue
    assert await state_of(observed, waiting) == "Scheduled"
    assert "agent_service_disk_low 1.0" in (await client.get("/metrics")).text
    log = [line for line in observed.log().splitlines() if "no work is taken" in line]
    assert len(log) == 1

    ballast.unlink()
    await poll_health(client, busy=False)
    assert (await client.get(f"/jobs/{waiting}", params={"wait": 80})).json()["status"] == "completed"


async def poll_health(client: httpx.AsyncClient, *, busy: bool) -> None:
    async with asyncio.timeout(30):
        while (await client.get("/health")).json()["busy"] is not busy:
            await asyncio.sleep(0.1)


def prefect(stage: Stage) -> httpx.AsyncClient:
    user, password = stage.prefect_auth.split(":", 1)
    return httpx.AsyncClient(base_url=f"{stage.prefect_url}/api", auth=(user, password), timeout=30)


async def queue_in_prefect(stage: Stage) -> str:
    """A run that somebody starts in Prefect's UI."""
    async with prefect(stage) as api:
        deployment = (await api.get("/deployments/name/agent_run/agent-run")).json()["id"]
        parameters = {"request": {"agent": "service-upgrade", "prompt": "hello"}}
        run = await api.post(f"/deployments/{deployment}/create_flow_run", json={"parameters": parameters})
        return str(run.json()["id"])


async def state_of(stage: Stage, run_id: str) -> str:
    async with prefect(stage) as api:
        return str((await api.get(f"/flow_runs/{run_id}")).json()["state"]["name"])
