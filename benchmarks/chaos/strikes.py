"""The faults of one run of chaos, at random moments: kills, outages, deletions, a second host."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections import Counter

from benchmarks.chaos.arena import Arena
from benchmarks.chaos.faults import BACK_SECONDS, HOST, PREFECT, find_child, find_part, wait_until_whole
from benchmarks.chaos.invariants import Excuses, prefect
from benchmarks.chaos.proxy import ANSWERS, CUT, REFUSED
from benchmarks.chaos.work import ChaosCaller
from demo.service import free_ports


class Faults:
    """Strikes at random moments, and waits until the service is whole again; the same seed, the same faults.

    What is away is away for up to `longest_seconds`, as a rule for a few.
    """

    def __init__(self, arena: Arena, caller: ChaosCaller, dice: random.Random, longest_seconds: float) -> None:
        self._arena = arena
        self._stage = arena.stage
        self._caller = caller
        self._dice = dice
        self._longest_seconds = longest_seconds
        self.struck: Counter[str] = Counter()
        self.excuses = Excuses()

    @property
    def count(self) -> int:
        """The number of faults so far."""
        return self.struck.total()

    async def strike(self, kind: str | None = None) -> str:
        """Strike with one fault, of this kind or of any, and return what it was, once the service is whole again."""
        kinds = {"host": 8, "prefect": 4, "both": 2, "remote": 2, "deleted": 3, "leases": 3, "second host": 1}
        kinds |= {"disk": 2} if self._arena.disk.mounted else {}
        kinds |= {"answers": 6, "websockets": 2} if self._arena.proxy is not None else {}
        kind = kind or self._dice.choices([*kinds], weights=[*kinds.values()])[0]
        await self._strike(kind)
        self.struck[kind] += 1
        await wait_until_whole(self._stage)
        return kind

    async def _strike(self, kind: str) -> None:
        seconds = self._dice.uniform(0.5, 3)
        if self._dice.random() < 0.1:
            seconds = self._dice.uniform(0, self._longest_seconds)
        match kind:
            case "host" | "prefect" | "both":
                await self._kill(kind)
            case "remote":
                with self._arena.remote.blocked():
                    await asyncio.sleep(seconds)
            case "disk":
                began = time.time()
                with self._arena.disk.full():
                    await asyncio.sleep(seconds)
                self.excuses.times.append((began, time.time() + 1))
            case "deleted":
                await self._delete_one()
            case "leases":
                self._lose_leases()
            case "second host":
                await self._start_second()
            case "answers":
                await self._answer(self._dice.choice([*ANSWERS, CUT]), seconds)
            case "websockets":
                await self._answer(REFUSED, seconds)

    async def _kill(self, kind: str) -> None:
        began = time.time()
        if kind != "host" and (server := find_child(self._arena.prefect.pid, PREFECT)) is not None:
            server.kill()
        if kind != "prefect" and (host := find_part(self._stage, HOST)) is not None:
            host.kill()
        await wait_until_whole(self._stage)
        if kind != "prefect":
            self.excuses.times.append((began, time.time()))

    async def _answer(self, fault: str, seconds: float) -> None:
        assert self._arena.proxy is not None
        with self._arena.proxy.answering(fault):
            await asyncio.sleep(seconds)

    async def _delete_one(self) -> None:
        """Delete a run that is at work, as somebody may do it in Prefect's UI."""
        at_work = [job for job in self._caller.open_jobs if job.answer.get("state") == "Running"]
        if not at_work:
            return
        job = self._dice.choice(at_work)
        async with prefect(self._stage) as api:
            job.deleted = True
            (await api.delete(f"/flow_runs/{job.job_id}")).raise_for_status()

    def _lose_leases(self) -> None:
        """Forget all leases, as Prefect does that keeps them in memory and is started again."""
        for lease in (self._stage.state_dir / "prefect" / "concurrency_leases").glob("*.json"):
            lease.unlink(missing_ok=True)

    async def _start_second(self) -> None:
        """Start the service on the same state directory; it must be refused, and hurt nobody."""
        ports = free_ports(2)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli.main", "up"),
            env={
                **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
                "STATE_DIR": str(self._stage.state_dir),
                "API_PORT": str(ports[0]),
                "PREFECT_SERVER_API_PORT": str(ports[1]),
                "API_BEARER_TOKEN": self._stage.token,
            },
            cwd=self._stage.directory,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(BACK_SECONDS):
                if await process.wait() == 0:
                    self._caller.refused.append("a second host on the state directory was not refused")
        finally:
            if process.returncode is None:
                process.kill()
