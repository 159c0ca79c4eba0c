"""Benchmark: the service with 10,000 finished jobs, beside one with 100.

`python -m benchmarks.cases.history` takes some fifteen minutes; JOBS=1000 has a shorter history, PAIRS=3 fewer pairs.
It exits with 1 when looking a job up, at p95, or starting one takes more than 1.3 times as long.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.harness.client import at_rest, client_of
from benchmarks.harness.job_history import Past
from benchmarks.harness.jobs import MeasuredJob, look_up, prefect_of, run_job
from benchmarks.harness.process_usage import cpu_seconds
from benchmarks.harness.service import model_process, staged
from benchmarks.registry import TITLES
from benchmarks.report.figures import Comparison, Curve, Line, Point
from benchmarks.report.results import Findings, publish
from demo.service import Stage

JOBS = 10_000
FEW = 100
STEPS = (1, FEW, 1_000)
PAIRS = 12
LOOK_UPS = 200
BOUND = 1.3
WORKED_OFF_SECONDS = 600.0
IDLE_SHARE = 0.4
LOOK_SECONDS = 3.0
TEXT = """\
Two services side by side, one with 100 finished jobs, the other with 10,000, each with its record in Prefect, its
outcome and its journal. They are asked in turn: for jobs from all over their past, and to run another."""
EXPLANATION = (
    "A job is looked up by its id in Prefect and in the store, and taken from the work pool's queue by its state and "
    "time: both are reads by an index, which grow with the logarithm of what lies there."
)


def main() -> int:
    """Measure, and publish; gives the exit status."""
    found = Findings()
    jobs, pairs = int(os.environ.get("JOBS", JOBS)), int(os.environ.get("PAIRS", PAIRS))
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as scratch,
        model_process(Path(scratch)) as model_url,
        staged(Path(scratch) / "few", model_url) as few,
        staged(Path(scratch) / "many", model_url) as many,
    ):
        asyncio.run(measure(found, Past(few), few, Past(many), many, jobs, pairs))
    return publish(found.part("history", TITLES["history"], TEXT))


async def measure(found: Findings, few_past: Past, few: Stage, past: Past, many: Stage, jobs: int, pairs: int) -> None:
    """Let one history grow, looking on as it does; then both in turn."""
    await few_past.grow(min(FEW, jobs))
    looked: list[Point] = []
    began: list[Point] = []
    for size in (size for size in STEPS if size < jobs):
        await past.grow(size)
        await grown(size, past, many, looked, began)
    await past.grow(jobs)
    print(f"{jobs} finished jobs are there", flush=True)
    await worked_off(many)
    await asyncio.gather(at_rest(many), at_rest(few))
    some, few_some = past.some(LOOK_UPS), few_past.some(LOOK_UPS)
    async with client_of(many) as client, client_of(few) as few_client:
        both = [
            (await look_up(client, one), await look_up(few_client, other))
            for one, other in zip(some, few_some, strict=True)
        ]
    started = [await run_both(many, few, number % 2 == 0) for number in range(1 + pairs)][1:]
    looked.append(Point(x=jobs, values=[ours for ours, _ in both]))
    began.append(Point(x=jobs, values=[ours.begun for ours, _ in started]))
    found.comparisons += compare(jobs, both, started)
    lines = [Line(name="GET /jobs/{id}", points=looked), Line(name="start of a job", points=began)]
    found.curves.append(
        Curve(
            name="history",
            title="What a long history costs",
            x_label="finished jobs",
            y_label="ms",
            lines=lines,
            explanation=EXPLANATION,
        )
    )


async def grown(size: int, past: Past, stage: Stage, looked: list[Point], began: list[Point]) -> None:
    """A few of both, at one size."""
    await worked_off(stage)
    await at_rest(stage)
    async with client_of(stage) as client, prefect_of(stage) as prefect:
        looked.append(Point(x=size, values=[await look_up(client, one) for one in past.some(LOOK_UPS // 4)]))
        began.append(Point(x=size, values=[(await run_job(client, prefect)).begun for _ in range(3)]))


async def worked_off(stage: Stage) -> None:
    """Return once Prefect's server has filed the events of the runs that were made, which takes it a while longer."""
    async with asyncio.timeout(WORKED_OFF_SECONDS):
        share = 1.0
        while share > IDLE_SHARE:
            before = cpu_seconds(stage)
            await asyncio.sleep(LOOK_SECONDS)
            share = (cpu_seconds(stage) - before) / LOOK_SECONDS


async def run_both(many: Stage, few: Stage, many_first: bool) -> tuple[MeasuredJob, MeasuredJob]:
    """A job of each service, both at rest; each begins as often as the other."""
    order = (many, few) if many_first else (few, many)
    jobs = {}
    for stage in order:
        await asyncio.gather(at_rest(many), at_rest(few))
        async with client_of(stage) as client, prefect_of(stage) as prefect:
            jobs[stage.url] = await run_job(client, prefect)
    return jobs[many.url], jobs[few.url]


def compare(
    jobs: int, looked: list[tuple[float, float]], started: list[tuple[MeasuredJob, MeasuredJob]]
) -> list[Comparison]:
    """The long history over the short one."""
    rival = f"with {FEW} of them"
    return [
        Comparison(
            name=f"GET /jobs/{{id}} with {jobs:,} finished jobs",
            rival_name=rival,
            ours=[ours for ours, _ in looked],
            rival=[theirs for _, theirs in looked],
            p95_at_most=BOUND,
        ),
        Comparison(
            name=f"a job's first line with {jobs:,} finished jobs",
            rival_name=rival,
            ours=[ours.begun for ours, _ in started],
            rival=[theirs.begun for _, theirs in started],
            at_most=BOUND,
        ),
        Comparison(
            name=f"the agent at work with {jobs:,} finished jobs",
            rival_name=rival,
            ours=[ours.agent_begun for ours, _ in started],
            rival=[theirs.agent_begun for _, theirs in started],
            at_most=BOUND,
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
