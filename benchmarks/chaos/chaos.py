"""Jobs at work while the service is hurt, and what came of them."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections import Counter
from collections.abc import Sequence

from benchmarks.chaos.arena import Arena
from benchmarks.chaos.invariants import broken
from benchmarks.chaos.strikes import Faults
from benchmarks.chaos.work import ChaosCaller, ChaosJob
from demo.offline_model.model import OfflineModel

RECOVERY_BOUND_SECONDS = 10.0
PATIENCE_SECONDS = 240.0
AT_ONCE = 8


class Chaos:
    """One run of it against a service."""

    def __init__(
        self,
        arena: Arena,
        model: OfflineModel,
        runs: int,
        faults: int | Sequence[str],
        seed: int,
        longest_seconds: float = 3,
    ) -> None:
        """`faults` is their number, or their kinds in order."""
        self._runs = runs
        self._kinds: list[str | None] = [None] * faults if isinstance(faults, int) else [*faults]
        self._stage = arena.stage
        self._model = model
        self._dice = random.Random(seed)
        self._caller = ChaosCaller(arena.stage, random.Random(self._dice.random()))
        self._faults = Faults(arena, self._caller, random.Random(self._dice.random()), longest_seconds)
        self._recovered: list[float] = []

    async def run(self) -> list[str]:
        """Queue, strike, wait, and look; gives what does not hold."""
        async with self._caller.client:
            queueing = asyncio.create_task(self._queue())
            await self._strike()
            await queueing
            await self._caller.watch_all(PATIENCE_SECONDS)
            await asyncio.sleep(1)
            found = await broken(self._stage, self._caller, self._model, self._faults.excuses)
        return found + self._report()

    async def _queue(self) -> None:
        """As many jobs as there were faults to meet them, in proportion; some always wait."""
        while (queued := len(self._caller.jobs)) < self._runs:
            due = self._runs * (self._faults.count + 1) / (len(self._kinds) + 1)
            if queued >= max(due, AT_ONCE):
                await asyncio.sleep(0.05)
                continue
            await self._caller.queue()

    async def _strike(self) -> None:
        for chosen in self._kinds:
            await asyncio.sleep(self._dice.uniform(0.2, 3))
            hit = await self._at_work()
            started = time.monotonic()
            kind = await self._faults.strike(chosen)
            back = time.monotonic()
            if kind in ("host", "both"):
                # one that is carried on goes on for as long as its agent takes
                await asyncio.gather(*(self._caller.watch(job, 60) for job in hit if not job.resumes))
                self._recovered.append(time.monotonic() - back)
            seconds = back - started
            print(f"{self._faults.count:4} {kind:12} {len(hit)} at work, whole after {seconds:.1f} s", flush=True)

    async def _at_work(self) -> list[ChaosJob]:
        open_jobs = self._caller.open_jobs
        await asyncio.gather(*(self._caller.look(job) for job in open_jobs))
        return [job for job in open_jobs if job.answer.get("state") == "Running"]

    def _report(self) -> list[str]:
        ends = Counter(job.answer.get("state") for job in self._caller.jobs)
        print("struck: " + ", ".join(f"{kind} {count}" for kind, count in sorted(self._faults.struck.items())))
        print("ended: " + ", ".join(f"{state} {count}" for state, count in sorted(ends.items(), key=str)))
        if not self._recovered:
            return []
        median, worst = statistics.median(self._recovered), max(self._recovered)
        print(f"recovery: median {median:.1f} s, worst {worst:.1f} s of {len(self._recovered)}")
        held = worst <= RECOVERY_BOUND_SECONDS
        return [] if held else [f"recovery took {worst:.1f} s; the bound is {RECOVERY_BOUND_SECONDS:.0f} s"]
