"""Benchmark: the time until a job starts, ours and a deployment on Prefect's stock process worker.

`python -m benchmarks.cases.job_start` measures both, in turn, from the accepted request to the run's first line (the
time of its state Running, as Prefect has it) and to the agent's process, and exits with 1 when ours is not at least 8
times sooner. JOBS sets how many of each are measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from pathlib import Path

import httpx
import psutil

from benchmarks.harness.client import at_rest, client_of
from benchmarks.harness.jobs import RUN_SECONDS, prefect_of, run_job
from benchmarks.harness.service import open_scene
from benchmarks.registry import TITLES
from benchmarks.report.figures import Comparison
from benchmarks.report.results import Findings, publish
from benchmarks.rivals.stock_prefect import stock_prefect
from benchmarks.rivals.stock_worker import run_stock_job, stock_worker
from demo.service import Stage

BOUND = 1 / 8
JOBS = 5
RIVALS = {"the stock worker": None, "the stock worker, polling each second": "1"}
TEXT = """\
A job from its acceptance to the run's first line, and to its agent's process: one that is started for it, or one
that was parked and begins. The rival is a deployment on `prefect worker start`, which looks for work every ten
seconds unless it is told to look each second, and starts an interpreter for each run."""

Start = tuple[float, float]
"""Milliseconds to the first line, and to the agent's process."""


def main() -> int:
    """Measure, and publish; gives the exit status."""
    found = Findings()
    jobs = int(os.environ.get("JOBS", JOBS))
    with open_scene() as scene:
        for rival, query in RIVALS.items():
            directory = scene.directory / rival.replace(" ", "-")
            with (
                stock_prefect(directory) as url,
                stock_worker(directory, url, query),
                httpx.Client(base_url=url, timeout=30, trust_env=False) as prefect,
            ):
                pairs = [pair(scene.stage, prefect, directory / f"stamp-{number}") for number in range(jobs + 1)][1:]
            found.comparisons += compare(rival, pairs, BOUND if query is None else None)
    return publish(found.part("job_start", TITLES["job_start"], TEXT))


def pair(stage: Stage, prefect: httpx.Client, stamp: Path) -> tuple[Start, Start]:
    """A job of ours, and then one of the rival's."""
    return asyncio.run(our_start(stage)), run_stock_job(prefect, stamp)


def compare(rival: str, pairs: list[tuple[Start, Start]], bound: float | None) -> list[Comparison]:
    """Ours over the rival's, by both measures."""
    return [
        Comparison(
            name=name,
            rival_name=rival,
            ours=[ours[measure] for ours, _ in pairs],
            rival=[theirs[measure] for _, theirs in pairs],
            at_most=bound,
        )
        for measure, name in enumerate(("a job's first line", "a job's agent"))
    ]


async def our_start(stage: Stage) -> Start:
    """One job of ours, the service at rest."""
    await at_rest(stage)
    async with client_of(stage) as client, prefect_of(stage) as prefect:
        coming_up = asyncio.create_task(process_begun(stage, time.time()))
        job = await run_job(client, prefect)
        begun = coming_up.result() if coming_up.done() else job.agent_begun
        coming_up.cancel()
    return job.begun, min(begun, job.agent_begun)


async def process_begun(stage: Stage, since: float) -> float:
    """When the first process of the CLI came up after that moment, in milliseconds."""
    service = psutil.Process(stage.process.pid)
    async with asyncio.timeout(RUN_SECONDS):
        while True:
            for process in service.children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if process.name() == "claude" and process.create_time() >= since - 0.02:
                        return 1000 * (process.create_time() - since)
            await asyncio.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main())
