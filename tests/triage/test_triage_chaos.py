"""A host killed in the middle: two overlapping triages handle every item, and none twice; a pause stays."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import psutil
import pytest
import yaml
from triage_service import ask, finished, runs, slow, start, until

from demo.model import OfflineModel
from demo.stage import REGISTER, Stage, set_stage

TITLES = [f"item {number}" for number in range(8)]


@dataclass
class Lonely:
    """A service of the test's own: its host may be killed, and nothing runs on a schedule."""

    stage: Stage
    client: httpx.AsyncClient

    def prefect(self) -> httpx.AsyncClient:
        user, password = self.stage.prefect_auth.split(":", 1)
        return httpx.AsyncClient(base_url=f"{self.stage.prefect_url}/api", auth=(user, password), timeout=30)


@pytest.fixture(scope="module")
async def lonely(offline_model: OfflineModel, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Any]:
    directory = tmp_path_factory.mktemp("lonely")
    register = yaml.safe_load(REGISTER.read_text())
    for deployment in register["deployments"]:
        deployment.pop("schedules", None)
        deployment.pop("concurrency_limit", None)
    path = directory / "prefect.yaml"
    path.write_text(yaml.safe_dump(register))
    settings = {"AGENT_CAPACITY": "2", "TRIAGE_LEASE_SECONDS": "2"}
    with set_stage(directory / "stage", offline_model.url, settings, path) as stage:
        headers = {"Authorization": f"Bearer {stage.token}"}
        async with httpx.AsyncClient(base_url=stage.url, headers=headers, timeout=60) as client:
            yield Lonely(stage, client)


async def test_every_item_is_handled_exactly_once(lonely: Any) -> None:
    request = ask(*TITLES, prompt=slow(500), at_once=2, max_attempts=9)
    both = [await start(lonely, request) for _ in range(2)]

    async def in_the_middle() -> bool:
        states = Counter(run["state_type"] for run in await agents(lonely))
        return states["COMPLETED"] >= 2 and states["RUNNING"] >= 1

    await until(in_the_middle, "some items done, and some at work", 120)
    await kill_host(lonely)
    for run_id in both:
        await finished(lonely, run_id)
    for _ in range(5):
        report = (await finished(lonely, await start(lonely, request)))["structured"]
        if report["handled_before"] == len(TITLES):
            break
    assert report["handled_before"] == len(TITLES)

    ended = [(run["name"].removeprefix("recruiter-triage: "), run["state_type"]) for run in await agents(lonely)]
    assert {state for _, state in ended} <= {"COMPLETED", "CRASHED"}
    assert Counter(name for name, state in ended if state == "COMPLETED") == dict.fromkeys(TITLES, 1)


async def test_the_kill_switch_survives_a_host_that_is_killed(lonely: Any) -> None:
    assert (await lonely.client.post("/pause", json={})).status_code == 200
    waiting = await start(lonely, ask("a", prompt=slow(0)))
    await kill_host(lonely)

    async def shown() -> bool:
        return (await lonely.client.get("/health")).json().get("paused") == ["agents", "triage"]

    await until(shown, "the pause in the new host's /health")
    assert (await lonely.client.get(f"/jobs/{waiting}")).json()["state"] in ("Scheduled", "Late")
    assert (await lonely.client.post("/resume")).status_code == 200
    assert (await finished(lonely, waiting))["structured"]["counts"] == {"done": 1}


async def agents(service: Any) -> list[dict[str, Any]]:
    return await runs(service, flow_runs={"tags": {"all_": ["trigger:triage"]}})


async def kill_host(lonely: Any) -> None:
    """Kill -9 it, and wait until the supervisor has started another."""
    for process in psutil.Process(lonely.stage.process.pid).children():
        if "api.server" in process.cmdline():
            process.kill()
            await asyncio.to_thread(process.wait, 30)

    async def back() -> bool:
        try:
            return (await lonely.client.get("/ready")).status_code == 200
        except httpx.TransportError:
            return False

    await until(back, "the host back", 120)
