"""Two overlapping triages, and their host killed in the middle: every item is handled, and none twice."""

from __future__ import annotations

from collections import Counter
from typing import Any

from triage_service import ask, finished, runs, slow, start, until

from benchmarks.chaos.faults import HOST, find_part, wait_until_whole

TITLES = [f"item {number}" for number in range(8)]


async def test_every_item_is_handled_exactly_once(victim: Any) -> None:
    request = ask(*TITLES, prompt=slow(500), at_once=2, max_attempts=9)
    both = [await start(victim, request) for _ in range(2)]

    async def in_the_middle() -> bool:
        states = Counter(run["state_type"] for run in await agents(victim))
        return states["COMPLETED"] >= 2 and states["RUNNING"] >= 1

    await until(in_the_middle, "some items done, and some at work", 120)
    host = find_part(victim.stage, HOST)
    assert host is not None
    host.kill()

    await wait_until_whole(victim.stage)
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


async def agents(service: Any) -> list[dict[str, Any]]:
    return await runs(service, flow_runs={"tags": {"all_": ["trigger:triage"]}})
