"""A thousand jobs asked for at once: each is accepted or told to come back, and the host is as it was afterwards.

`python -m benchmarks.cases.execute_burst` prints how they were answered and how they ended, and the host's memory and
file descriptors before and after; it exits with 1 when an answer is neither 202 nor 429 with Retry-After, an accepted
job does not complete, or the host has grown. REQUESTS and DEPTH (how many may wait) set the size.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx

from benchmarks.chaos.faults import HOST, find_part
from benchmarks.harness.client import at_rest
from demo.offline_model.model import OfflineModel
from demo.service import Stage, set_stage

REQUESTS = 1000
DEPTH = 100
GROWTH_BOUND = 1.15
DESCRIPTORS_BOUND = 10
END_SECONDS = 600.0
BODY = {"agent": "recruiter-triage", "prompt": 'offline-model: {"text": "pong"}'}


def main() -> int:
    """Measure, print, and judge; gives the exit status."""
    requests, depth = int(os.environ.get("REQUESTS", REQUESTS)), int(os.environ.get("DEPTH", DEPTH))
    with tempfile.TemporaryDirectory() as scratch, OfflineModel(record=False) as model:
        settings = {"MAX_QUEUE_DEPTH": str(depth), "AGENT_CAPACITY": "4"}
        with set_stage(Path(scratch), model.url, settings) as stage:
            broken = asyncio.run(measure(stage, requests))
    for line in broken:
        print(f"BROKEN: {line}")
    print("bound: held" if not broken else "bound: NOT HELD")
    return 1 if broken else 0


async def measure(stage: Stage, requests: int) -> list[str]:
    """One burst to warm up, and the one that counts; gives what does not hold."""
    await burst(stage, requests)
    await at_rest(stage)  # a process that is being made ready has descriptors of its own
    before = size(stage)
    started = time.monotonic()
    codes, broken = await burst(stage, requests)
    seconds = time.monotonic() - started
    await at_rest(stage)
    after = size(stage)
    print(
        f"{requests} requests at once: " + ", ".join(f"{count} times {code}" for code, count in sorted(codes.items()))
    )
    print(f"all that was accepted was over after {seconds:.0f} s")
    print(
        f"the host's memory: {before[0]:.0f} MB, then {after[0]:.0f} MB; its descriptors: {before[1]}, then {after[1]}"
    )
    if after[0] > before[0] * GROWTH_BOUND:
        broken.append("the host's memory has grown")
    if after[1] > before[1] + DESCRIPTORS_BOUND:
        broken.append("the host's file descriptors have grown")
    return broken


async def burst(stage: Stage, requests: int) -> tuple[Counter[int], list[str]]:
    """Ask for so many jobs at once, and wait for the end of those that were accepted."""
    headers = {"Authorization": f"Bearer {stage.token}"}
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=stage.url, headers=headers, timeout=END_SECONDS, limits=limits) as client:
        answers = await asyncio.gather(*(client.post("/execute", json=BODY) for _ in range(requests)))
        codes = Counter(answer.status_code for answer in answers)
        broken = [f"{code}, {count} times" for code, count in codes.items() if code not in (202, 429)]
        hurried = [answer for answer in answers if answer.status_code == 429 and "retry-after" not in answer.headers]
        broken += [f"429 without Retry-After, {len(hurried)} times"] if hurried else []
        accepted = [answer.json()["job_id"] for answer in answers if answer.status_code == 202]
        ends = Counter([await ended(client, job_id) for job_id in accepted])
    if ends != {"completed": len(accepted)}:
        broken.append(f"accepted jobs ended otherwise: {dict(ends)}")
    return codes, broken


async def ended(client: httpx.AsyncClient, job_id: str) -> str:
    """The status of a job that is over, or `running` after too long a time."""
    until = time.monotonic() + END_SECONDS
    status = "running"
    while status == "running" and time.monotonic() < until:
        status = (await client.get(f"/jobs/{job_id}", params={"wait": 60})).raise_for_status().json()["status"]
    return status


def size(stage: Stage) -> tuple[float, int]:
    """Of the host: megabytes of memory, and open file descriptors."""
    host = find_part(stage, HOST)
    if host is None:
        raise RuntimeError("the host is gone")
    return host.memory_info().rss / 1e6, host.num_fds()


if __name__ == "__main__":
    sys.exit(main())
