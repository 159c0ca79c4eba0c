"""The rivals answer, and what is measured of the service is measured: all of it briefly, on one service."""

from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.harness import process_usage as usage
from benchmarks.harness.client import MeasuredCaller, at_rest, prompt_of
from benchmarks.harness.event_loop_lag import Sampler
from benchmarks.harness.job_history import Past
from benchmarks.harness.jobs import look_up, prefect_of, run_job
from benchmarks.rivals.bare_cli import BareCli
from benchmarks.rivals.floor import Floor
from benchmarks.rivals.old_way import ask_old_way, old_way
from benchmarks.timing import Timing, in_turn
from demo.repository import git


@pytest.fixture
def bare(service: Any, tmp_path: Path) -> BareCli:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(service.stage.origin), str(clone))
    return BareCli(clone, tmp_path / "home", service.model.url)


async def test_everybody_answers_and_is_timed(service: Any, bare: BareCli) -> None:
    caller, floor = MeasuredCaller(service.client), Floor(httpx.AsyncClient(), service.model.url)
    prompt = prompt_of()
    sdk = import_module("benchmarks.rivals.sdk")  # a second for each process that looks for tests
    ways = {
        "floor": lambda: floor.streamed(prompt),
        "ours": lambda: caller.whole(prompt),
        "ours, streamed": lambda: caller.streamed(prompt),
        "bare": lambda: bare.whole(prompt),
        "bare, streamed": lambda: bare.streamed(prompt),
        "sdk": lambda: sdk.query_sdk(bare, prompt),
    }
    measured = await in_turn(ways, 1, warm_up=0)
    await floor.client.aclose()
    assert list(measured) == list(ways)
    for [timing] in measured.values():
        assert 0 < timing.first <= timing.whole
    [[floor_timing], *others] = measured.values()
    assert all(floor_timing.whole < timing.whole for [timing] in others)


async def test_the_old_way_answers(bare: BareCli) -> None:
    with old_way(bare) as url:
        async with httpx.AsyncClient(timeout=60) as client:
            timing = await ask_old_way(client, url, prompt_of())
    assert timing.whole > 0


async def test_a_past_is_made_of_jobs_that_can_be_looked_up(service: Any) -> None:
    past = Past(service.stage)
    await past.grow(3)
    assert len(set(past.some(9))) == 3
    for job_id in past.job_ids:
        assert await look_up(service.client, job_id) > 0
        job = (await service.client.get(f"/jobs/{job_id}")).json()
        assert (job["status"], job["result"]) == ("completed", "pong")


async def test_memory_cpu_and_lag_are_told(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "IDLE_SECONDS", 0.1)
    names = [figure.name for figure in usage.parts_at_rest(service.stage)]
    assert {"the host, at rest: memory", "Prefect's server, at rest: CPU"} < set(names)
    before = usage.cpu_seconds(service.stage)
    with Sampler(service.url, "/health") as sampler:
        async with prefect_of(service.stage) as prefect:
            job = await run_job(service.client, prefect)
    assert sampler.milliseconds
    assert 0 < job.begun <= job.agent_begun <= job.ended
    await at_rest(service.stage)
    assert usage.cpu_seconds(service.stage) - before > 0.2


async def test_ways_take_turns_at_being_first() -> None:
    asked = []

    def way(name: str) -> Any:
        async def answer() -> Timing:
            asked.append(name)
            return Timing(1, 2)

        return answer

    measured = await in_turn({"a": way("a"), "b": way("b")}, 2, warm_up=1)
    assert asked == ["a", "b", "b", "a", "a", "b"]
    assert [len(timings) for timings in measured.values()] == [2, 2]
