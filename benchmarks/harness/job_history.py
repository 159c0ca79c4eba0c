"""A past for a service: finished jobs, as many as are wanted, each with records in Prefect and the store."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from uuid import UUID

import httpx

from benchmarks.harness.client import client_of
from benchmarks.harness.jobs import prefect_of, run_job
from demo.service import Stage
from store.settings import default_database_url
from store.store import Store, open_store

AT_ONCE = 8


class Past:
    """The finished jobs of one service; the first has really been run, the others are told to have been like it."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.job_ids: list[str] = []

    async def grow(self, jobs: int) -> None:
        """Have so many in all."""
        async with client_of(self._stage) as client, prefect_of(self._stage) as prefect:
            if not self.job_ids:
                self.job_ids.append((await run_job(client, prefect)).job_id)
            first = (await prefect.get(f"/flow_runs/{self.job_ids[0]}")).raise_for_status().json()
            async with open_store(default_database_url(self._stage.state_dir)) as store:
                numbers = iter(range(len(self.job_ids), jobs))
                await asyncio.gather(*(self._make(numbers, prefect, store, first) for _ in range(AT_ONCE)))

    async def _make(
        self, numbers: Iterator[int], prefect: httpx.AsyncClient, store: Store, first: dict[str, object]
    ) -> None:
        outcome = await store.outcomes.load(UUID(self.job_ids[0]))
        events = await store.journal.read(UUID(self.job_ids[0]))
        assert outcome is not None
        body = {name: first[name] for name in ("name", "parameters", "tags")}
        body["state"] = {"type": "COMPLETED", "name": "Completed"}
        path = f"/deployments/{first['deployment_id']}/create_flow_run"
        for number in numbers:
            made = await prefect.post(path, json=body | {"name": f"past-{number}"})
            run_id = str(made.raise_for_status().json()["id"])
            await store.outcomes.save(UUID(run_id), outcome, outcome)
            for event in events:
                store.journal.append(UUID(run_id), event.type, event.body)
            self.job_ids.append(run_id)

    def some(self, count: int) -> list[str]:
        """Ids from all over the past, again and again if it is short."""
        step = max(1, len(self.job_ids) // count)
        return [*itertools.islice(itertools.cycle(self.job_ids[::step]), count)]
