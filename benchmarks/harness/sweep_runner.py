"""The service and its rivals, asked for any size."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from uuid import UUID

import httpx

from benchmarks.harness.client import MeasuredCaller, prompt_of
from benchmarks.harness.jobs import prefect_of, run_job
from benchmarks.harness.service import Scene
from benchmarks.rivals.bare_cli import BareCli
from benchmarks.timing import Stopwatch, Timing
from store.settings import default_database_url
from store.store import open_store

CAPACITY = 8
"""The slots of the service, and how many bare CLIs run at a time beside it."""

LONG_MODEL = "claude-sonnet-4-6[1m]"
"""The CLI refuses by itself what it takes for too long; of the models that it knows this one takes most: 5 MB."""


@dataclass
class Sweeper:
    """One service, its caller, and the bare CLI."""

    scene: Scene
    client: httpx.AsyncClient
    bare: BareCli

    async def warm_up(self) -> None:
        """The first run ever fetches the repository."""
        await self.whole(prompt_of())

    async def whole(self, prompt: str) -> Timing:
        """One answer of the service."""
        return await MeasuredCaller(self.client).whole(prompt)

    async def long(self, prompt: str) -> Timing:
        """The same of the model that takes the longest prompts."""
        return await MeasuredCaller(self.client, LONG_MODEL).whole(prompt)

    async def bare_long(self, prompt: str) -> Timing:
        """The bare CLI's answer of that model."""
        return await replace(self.bare, model=LONG_MODEL).whole(prompt)

    async def crowd(self, callers: int) -> Timing:
        """So many callers at once, who ask again if they must; the time of the last."""
        watch, caller = Stopwatch(), MeasuredCaller(self.client)
        await asyncio.gather(*(caller.patient(prompt_of()) for _ in range(callers)))
        return watch.stop()

    async def bare_crowd(self, callers: int) -> Timing:
        """So many bare CLIs, as many at a time as the service has slots."""
        watch, turn = Stopwatch(), asyncio.Semaphore(CAPACITY)

        async def one() -> None:
            async with turn:
                await self.bare.whole(prompt_of())

        await asyncio.gather(*(one() for _ in range(callers)))
        return watch.stop()

    async def replay(self, events: int) -> Timing:
        """A finished job's events, that many, from its journal to a client."""
        async with prefect_of(self.scene.stage) as prefect:
            job_id = (await run_job(self.client, prefect)).job_id
        async with open_store(default_database_url(self.scene.stage.state_dir)) as store:
            [*_, last] = await store.journal.read(UUID(job_id))
            for number in range(events):
                store.journal.append(UUID(job_id), "said", f'{{"type":"said","text":"word {number}"}}')
            store.journal.append(UUID(job_id), last.type, last.body)
        watch, heard = Stopwatch(), 0
        # past the end that it had
        headers = {"last-event-id": str(last.seq + 1)}
        async with self.client.stream("GET", f"/jobs/{job_id}/events", headers=headers) as answer:
            async for line in answer.aiter_lines():
                heard += line.startswith("event:")
        timing = watch.stop()
        if heard < events:
            raise RuntimeError(f"{heard} of {events} events came")
        return timing
