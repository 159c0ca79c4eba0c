"""Two overlapping triages, and their host killed in the middle: every item is handled, and none twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from triage_service import ask, finished, runs, slow, start, until

from benchmarks.chaos.faults import HOST, find_part, wait_until_whole

TITLES = [f"item {number}" for number in range(4)]


async def test_every_item_is_handled_exactly_once(victim: Any) -> None:
    request = ask(*TITLES, prompt=slow(500), at_once=2, max_attempts=9)
    both = [await start(victim, request) for _ in range(2)]

    async def in_the_middle() -> bool:
        states = Counter(run["state_type"] for run in await agents(victim))
        return states["COMPLETED"] >= 1 and states["RUNNING"] >= 1

    await until(in_the_middle, "some items done, and some at work", 120)
    await kill_host(victim)
    for run_id in both:
        await finished(victim, run_id)
    for _ in range(5):
        report = (await finished(victim, await start(victim, request)))["structured"]
        if report["handled_before"] == len(TITLES):
            break
    assert report["handled_before"] == len(TITLES)

    ended = [(run["name"].removeprefix("recruiter-triage: "), run["state_type"]) for run in await agents(victim)]
    assert {state for _, state in ended} <= {"COMPLETED", "CRASHED"}
    assert Counter(name for name, state in ended if state == "COMPLETED") == dict.fromkeys(TITLES, 1)


@pytest.mark.long
async def test_the_kill_switch_survives_a_host_that_is_killed(victim: Any) -> None:
    assert (await victim.client.post("/pause", json={})).status_code == 200
    waiting = await start(victim, ask("a", prompt=slow(0)))
    await kill_host(victim)

    async def shown() -> bool:
        return (await victim.client.get("/health")).json().get("paused") == ["agents", "triage"]

    await until(shown, "the pause in the new host's /health")
    assert (await victim.client.get(f"/jobs/{waiting}")).json()["state"] in ("Scheduled", "Late")
    assert (await victim.client.post("/resume")).status_code == 200
    assert (await finished(victim, waiting))["structured"]["counts"] == {"done": 1}


async def agents(service: Any) -> list[dict[str, Any]]:
    return await runs(service, flow_runs={"tags": {"all_": ["trigger:triage"]}})


async def kill_host(victim: Any) -> None:
    """Kill -9 it, and wait until the supervisor has started another."""
    host = find_part(victim.stage, HOST)
    assert host is not None
    host.kill()
    await asyncio.to_thread(host.wait, 30)
    await wait_until_whole(victim.stage)
