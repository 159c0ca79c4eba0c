"""Benchmark: memory and CPU at rest, per warm process and per run, and the event loop's worst lag.

`python -m benchmarks.cases.footprint` takes some three minutes; RUNS=2 has fewer runs.
"""

from __future__ import annotations

import asyncio
import os
import sys

from benchmarks.cases.latency import bare_cli
from benchmarks.harness.client import MeasuredCaller, at_rest, client_of, prompt_of
from benchmarks.harness.event_loop_lag import lags
from benchmarks.harness.process_usage import Peak, cpu_seconds, own_children_seconds, parts_at_rest
from benchmarks.harness.service import Scene, open_scene
from benchmarks.registry import TITLES
from benchmarks.report.figures import Comparison
from benchmarks.report.results import Findings, publish
from benchmarks.rivals.bare_cli import BareCli

RUNS = 6
AT_ONCE = 16
TEXT = f"""\
At rest: what the parts of the service take while nobody asks. A run: all CPU of the service and of what it
started, from rest to rest, beside the bare CLI's. The event loop: `/health` is answered from memory by the loop
that drives every run, so how long it takes is how long that loop had no time; it is asked every 10 ms while
{AT_ONCE} runs, half of them chat completions and half of them jobs, are at work, and so is a server that has
nothing else to do: what both show is the machine's."""


def main() -> int:
    """Measure, and publish; gives the exit status."""
    found = Findings()
    runs = int(os.environ.get("RUNS", RUNS))
    with open_scene() as scene:
        asyncio.run(at_work(scene, 1))  # the first run ever fetches the repository
        asyncio.run(at_rest(scene.stage))
        found.figures += parts_at_rest(scene.stage)
        found.comparisons += asyncio.run(compare_runs(scene, bare_cli(scene), runs))
    with open_scene({"AGENT_CAPACITY": str(AT_ONCE)}) as scene:
        found.figures += asyncio.run(lags(scene, AT_ONCE))
    return publish(found.part("footprint", TITLES["footprint"], TEXT))


async def at_work(scene: Scene, runs: int) -> None:
    """So many runs, one after the other."""
    async with client_of(scene.stage) as client:
        for _ in range(runs):
            await MeasuredCaller(client).whole(prompt_of())


async def compare_runs(scene: Scene, bare: BareCli, runs: int) -> list[Comparison]:
    """CPU and memory of a run, ours and the bare CLI's, in turn."""
    ours_cpu, bare_cpu, ours_mb, bare_mb = [], [], [], []
    for _ in range(runs):
        before = cpu_seconds(scene.stage)
        async with Peak(scene.stage.process.pid) as peak:
            await at_work(scene, 1)
        await at_rest(scene.stage)
        ours_cpu.append(cpu_seconds(scene.stage) - before)
        ours_mb.append(peak.mb)
        before = own_children_seconds()
        async with Peak(os.getpid(), without=scene.stage.process.pid) as peak:
            await bare.whole(prompt_of())
        bare_cpu.append(own_children_seconds() - before)
        bare_mb.append(peak.mb)
    rival = "claude -p, json"
    return [
        Comparison(name="CPU of a run", rival_name=rival, ours=ours_cpu, rival=bare_cpu, unit="s"),
        Comparison(name="memory of a run's CLI", rival_name=rival, ours=ours_mb, rival=bare_mb, unit="MB"),
    ]


if __name__ == "__main__":
    sys.exit(main())
