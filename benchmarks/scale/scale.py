"""The whole of it: what every host must know of the others, fair shares, and two hosts that go in the middle."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from datetime import UTC, datetime

import httpx

from benchmarks.scale.across import Across
from benchmarks.scale.balancer import Balancer
from benchmarks.scale.cluster import CAPACITY, LOST_AFTER_SECONDS, Cluster
from benchmarks.scale.record import Record, doubled, read_records, shares, unfair
from demo.offline_model.model import OfflineModel

AT_ONCE = 4
END_SECONDS = 120.0
SECONDS_A_JOB = 4.0


class Scale:
    """One run of it on a cluster, which has a host less afterwards."""

    def __init__(self, cluster: Cluster, model: OfflineModel, jobs: int, seed: int) -> None:
        self._cluster = cluster
        self._model = model
        self._jobs = jobs
        self._dice = random.Random(seed)

    async def run(self) -> list[str]:
        """What does not hold, in lines; the table is printed, row by row."""
        _row("hosts, all started at once, ready after", f"{self._cluster.started_seconds:.1f} s")
        across = Across(self._cluster)
        found = await across.run()
        for what, seconds in across.measured.items():
            _row(f"{what}, at most", f"{seconds:.1f} s")
        found += await self._one_door()
        found += await self._faults()
        return found

    async def _one_door(self) -> list[str]:
        """Every job is asked for at the same host."""
        started = time.monotonic()
        async with Balancer(self._cluster, [0], self._dice) as caller:
            await self._queue(caller, self._jobs)
            await caller.wait(self._jobs, END_SECONDS + self._jobs * SECONDS_A_JOB)
            took = time.monotonic() - started
            records, found = await self._verdict(caller, killed=None)
        counted = shares(records)
        self._tell("all through one host", records, counted, took)
        return found + unfair(counted, self._cluster)

    async def _faults(self) -> list[str]:
        """Every host is asked in turn; one is lost for good, another is started again, while jobs are at work."""
        lost, again = self._cluster.members[-1], self._cluster.members[0]
        survivors = range(len(self._cluster.members))
        started = time.monotonic()
        async with Balancer(self._cluster, survivors, self._dice) as caller:
            await self._queue(caller, self._jobs * 3 // 4)
            await caller.wait(self._jobs * 2 // 5, END_SECONDS + self._jobs * SECONDS_A_JOB)
            struck = datetime.now(UTC)
            lost.kill()
            rest = asyncio.create_task(self._queue(caller, self._jobs - len(caller.jobs)))
            await caller.wait(self._jobs // 2, END_SECONDS + self._jobs * SECONDS_A_JOB)
            await asyncio.to_thread(again.end)
            again.begin()
            await asyncio.to_thread(again.wait)
            await rest
            await caller.wait(self._jobs, END_SECONDS + LOST_AFTER_SECONDS + self._jobs * SECONDS_A_JOB)
            took = time.monotonic() - started
            records, found = await self._verdict(caller, killed=lost.name)
        counted = shares(records, struck)
        self._tell("one killed, one started again", records, shares(records), took)
        _row("  begun while all lived", _list(counted))
        return found + unfair(counted, self._cluster)

    async def _queue(self, caller: Balancer, count: int) -> None:
        turns = asyncio.Semaphore(AT_ONCE)

        async def queue() -> None:
            async with turns:
                await caller.queue()

        await asyncio.gather(*(queue() for _ in range(count)))

    async def _verdict(self, caller: Balancer, killed: str | None) -> tuple[list[Record], list[str]]:
        records = await read_records(self._cluster, caller.jobs)
        found = [line for one in records for line in one.breaks()]
        found += await doubled(self._cluster, caller.jobs, caller.tag, self._model)
        bad = [one for one in records if one.ends != ["Completed"]]
        of_living = [one for one in bad if one.host != killed or one.ends != ["Crashed"]]
        found += [f"{one.job.job_id} on {one.host} ended as {' '.join(one.ends)}" for one in of_living]
        if len(bad) > CAPACITY:
            found.append(f"{len(bad)} jobs are not completed; a host has {CAPACITY} at once")
        found += await self._transcripts(records, bad)
        return records, found

    async def _transcripts(self, records: list[Record], bad: list[Record]) -> list[str]:
        """The end of a run is told by hosts that had no part in it, also where its own is gone."""
        found = []
        headers = {"Authorization": f"Bearer {self._cluster.token}"}
        async with httpx.AsyncClient(headers=headers, timeout=30) as client:
            for member in self._cluster.members[:-1]:
                for one in [*bad, *records[:3]]:
                    events = (await client.get(f"{member.url}/jobs/{one.job.job_id}/events")).text
                    if "event: ended" not in events:
                        found.append(f"{member.name} does not tell the end of {one.job.job_id}")
        return found

    def _tell(self, what: str, records: list[Record], counted: Counter[str], took: float) -> None:
        ends = Counter(" ".join(one.ends) or "none" for one in records)
        _row(f"{self._jobs} jobs, {what}", f"{took:.0f} s, {len(records) / took:.1f} a second")
        _row("  begun", _list(counted))
        _row("  ended", _list(ends))


def _row(what: str, value: str) -> None:
    print(f"{what:70}  {value}", flush=True)


def _list(counted: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counted.items()))
