"""A caller behind a balancer: each request goes to the next host, and on to another one where a host is away."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Sequence
from itertools import cycle
from typing import Any
from uuid import uuid4

import httpx

from benchmarks.chaos.work import ChaosJob
from benchmarks.scale.cluster import Cluster

AWAY = (429, 500, 502, 503, 504)
PATIENCE_SECONDS = 300.0
LOOK_SECONDS = 2.0


class Balancer:
    """Queues jobs and looks them up at `among`; an Idempotency-Key makes each request one job."""

    def __init__(self, cluster: Cluster, among: Sequence[int], dice: random.Random) -> None:
        headers = {"Authorization": f"Bearer {cluster.token}"}
        urls = [cluster.members[index].url for index in among]
        self._clients = [httpx.AsyncClient(base_url=url, headers=headers, timeout=30) for url in urls]
        self._turn = cycle(self._clients)
        self._dice = dice
        self.tag = f"scale-{uuid4().hex}"
        self.jobs: list[ChaosJob] = []

    async def __aenter__(self) -> Balancer:
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            await client.aclose()

    async def queue(self, script: list[dict[str, Any]] | None = None) -> ChaosJob:
        """Have one more job accepted by whichever host answers."""
        mark = uuid4().hex
        script = script or [{"text": "done", "delay_ms": self._dice.randint(200, 1200)}]
        prompt = f"{mark} offline-model: {json.dumps(script)}"
        body = {"agent": "recruiter-triage", "prompt": prompt, "tags": [self.tag]}
        answer = await self.ask("POST", "/execute", json=body, headers={"Idempotency-Key": mark})
        job = ChaosJob(answer["job_id"], mark, resumes=False)
        self.jobs.append(job)
        return job

    async def ask(self, method: str, path: str, **request: Any) -> Any:
        """The first good answer; raises TimeoutError if no host gives one."""
        said = ""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                answer = await next(self._turn).request(method, path, **request)
            except httpx.TransportError as error:
                said = repr(error)
            else:
                if answer.is_success:
                    return answer.json()
                said = answer.text
                if answer.status_code not in AWAY:
                    break
            await asyncio.sleep(0.2)
        raise TimeoutError(f"{method} {path}: no host gives a good answer; the last one: {said}")

    async def look(self) -> int:
        """Read the jobs that are not over, one after the other, and count those that are.

        All at once would be a load of its own, under which what is to be seen does not happen.
        """
        for job in list(self.jobs):
            await self._look(job)
        return sum(job.answer.get("status", "running") != "running" for job in self.jobs)

    async def wait(self, over: int, seconds: float) -> None:
        """Return once so many jobs are over, or after `seconds`: the verdict tells."""
        deadline = time.monotonic() + seconds
        while await self.look() < over and time.monotonic() < deadline:
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, job: ChaosJob) -> None:
        if job.answer.get("status", "running") == "running":
            job.answer = await self.ask("GET", f"/jobs/{job.job_id}")
