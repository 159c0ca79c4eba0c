"""Benchmark: the time of an answer, beside the bare CLI, the official SDK and the old way, one and many at once.

`python -m benchmarks.cases.latency` takes some six minutes; PAIRS=3 has fewer pairs. It exits with 1 past a bound.
"""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial

import httpx

from benchmarks.harness.client import LIMIT_SECONDS, MeasuredCaller, at_rest, client_of, prompt_of
from benchmarks.harness.concurrent_callers import compare_crowds
from benchmarks.harness.service import Scene, open_scene
from benchmarks.registry import TITLES
from benchmarks.report.figures import Comparison
from benchmarks.report.results import Findings, publish
from benchmarks.rivals.bare_cli import BareCli
from benchmarks.rivals.floor import Floor
from benchmarks.rivals.old_way import ask_old_way, old_way
from benchmarks.rivals.sdk import query_sdk
from benchmarks.timing import Measured, firsts, in_turn, wholes

PAIRS = 10
DELAYS_MS = (0, 300)
RIVALS = ("floor", "bare", "bare, streamed", "old way", "sdk")
TEXT = """\
One chat completion at a time, from the request to its answer. *Hot* is the agent that the service expects, as it
does for every chat caller who asks as those before; *any* is an agent that nobody has asked for yet. Between two
answers the service may come to rest. The bare CLI, the SDK's `query()` and the old way (lock, `git pull`, a cold
start, parse) work in a clone of the same repository, without a cell, a history or a journal. Last, as many callers
at once as CLIs are parked, and eight callers who ask again as soon as they have their answer."""


def main() -> int:
    """Measure, and publish; gives the exit status."""
    found = Findings()
    pairs = int(os.environ.get("PAIRS", PAIRS))
    with open_scene() as scene:
        bare = bare_cli(scene)
        with old_way(bare) as old_url:
            for delay_ms in DELAYS_MS:
                often = pairs if delay_ms == 0 else -(-pairs // 2)
                measured = asyncio.run(measure(scene, bare, old_url, delay_ms, often))
                found.comparisons += compare(measured, f"{delay_ms} ms to the first token" if delay_ms else "at once")
                print(f"{often} rounds with {delay_ms} ms to the first token: done", flush=True)
    with open_scene() as scene:  # another: the first has other agents' CLIs parked
        crowds, refused = asyncio.run(compare_crowds(scene, bare_cli(scene), max(1, pairs // 4)))
    found.comparisons += crowds
    found.figures.append(refused)
    return publish(found.part("latency", TITLES["latency"], TEXT))


def bare_cli(scene: Scene) -> BareCli:
    """The bare CLI beside the service."""
    return BareCli(scene.clone, scene.directory / "home", scene.model_url)


async def measure(scene: Scene, bare: BareCli, old_url: str, delay_ms: int, pairs: int) -> Measured:
    """Everybody's answers, in turn."""
    prompt = prompt_of(delay_ms=delay_ms)
    async with (
        client_of(scene.stage) as client,
        httpx.AsyncClient(timeout=LIMIT_SECONDS, trust_env=False) as other_client,
    ):
        caller, floor = MeasuredCaller(client), Floor(other_client, scene.model_url)
        ways = {
            "floor": partial(floor.streamed, prompt),
            "hot": partial(caller.whole, prompt),
            "bare": partial(bare.whole, prompt),
            "any": partial(caller.whole, prompt, any_agent=True),
            "old way": partial(ask_old_way, other_client, old_url, prompt),
            "hot, streamed": partial(caller.streamed, prompt),
            "bare, streamed": partial(bare.streamed, prompt),
            "any, streamed": partial(caller.streamed, prompt, any_agent=True),
            "sdk": partial(query_sdk, bare, prompt),
        }
        return await in_turn(ways, pairs, rest=partial(at_rest, scene.stage), restful=RIVALS)


def compare(measured: Measured, when: str) -> list[Comparison]:
    """Ours over everybody's, with the bounds that we hold ourselves to."""
    whole = {name: wholes(timings) for name, timings in measured.items()}
    first = {name: firsts(timings) for name, timings in measured.items()}
    hot, any_agent, old = whole["hot"], whole["any"], "the old way"
    cli, stream, sdk = "claude -p, json", "claude -p, stream-json", "the SDK's query()"

    def one(
        what: str, rival_name: str, ours: list[float], rival: list[float], floor: list[float], **bounds: float
    ) -> Comparison:
        name = f"{what}, model {when}"
        return Comparison(name=name, rival_name=rival_name, ours=ours, rival=rival, floor=floor, **bounds)

    floor, first_floor, soonest = whole["floor"], first["floor"], first["bare, streamed"]
    return [
        one("whole answer, hot", cli, hot, whole["bare"], floor, at_most=0.6, reach=0.4, p95_at_most=1),
        one("whole answer, any", cli, any_agent, whole["bare"], floor, at_most=0.95),
        one("first content, hot", stream, first["hot, streamed"], soonest, first_floor, at_most=0.6, p95_at_most=1),
        one("first content, any", stream, first["any, streamed"], soonest, first_floor, at_most=0.95),
        one("whole answer, hot", old, hot, whole["old way"], floor, at_most=0.5),
        one("whole answer, any", old, any_agent, whole["old way"], floor, at_most=0.8),
        one("whole answer, hot", sdk, hot, whole["sdk"], floor),
        one("whole answer, any", sdk, any_agent, whole["sdk"], floor),
    ]


if __name__ == "__main__":
    sys.exit(main())
