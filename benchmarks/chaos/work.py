"""Jobs of every kind, queued by a caller who asks again until told yes or no."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

from demo.service import Stage

ANSWER_SECONDS = 20.0
LOOK_SECONDS = 0.1


@dataclass
class ChaosJob:
    """One that the service has accepted."""

    job_id: str
    mark: str
    resumes: bool
    deleted: bool = False
    """Its run was deleted in Prefect while it was at work."""
    answer: dict[str, Any] = field(default_factory=dict)


class ChaosCaller:
    """Queues jobs through the API and watches them, however often the API is away."""

    def __init__(self, stage: Stage, dice: random.Random) -> None:
        headers = {"Authorization": f"Bearer {stage.token}"}
        self.client = httpx.AsyncClient(base_url=stage.url, headers=headers, timeout=ANSWER_SECONDS)
        self._dice = dice
        self.tag = f"chaos-{uuid4().hex}"
        self.jobs: list[ChaosJob] = []
        self.refused: list[str] = []

    async def queue(self) -> None:
        """Have one more job accepted; the key makes it one, however often it is asked for."""
        mark = uuid4().hex
        body = self._body(mark)
        while True:
            with contextlib.suppress(httpx.HTTPError):
                answer = await self.client.post("/execute", json=body, headers={"Idempotency-Key": mark})
                if answer.status_code == 202:
                    self.jobs.append(ChaosJob(answer.json()["job_id"], mark, "on_crash" in body))
                    return
                if answer.status_code not in (429, 500, 502, 503):
                    self.refused.append(f"{answer.status_code}: {answer.text}")
                    return
            await asyncio.sleep(0.2)

    async def watch(self, job: ChaosJob, seconds: float) -> None:
        """Look at the job until it is over; its last answer is in it, whatever came."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while job.answer.get("status", "running") == "running":
                    await self.look(job)
                    await asyncio.sleep(LOOK_SECONDS)

    async def watch_all(self, patience_seconds: float) -> None:
        """Look at all jobs, in turn, until they are over or none has ended for so long.

        Not all at once: a hundred who ask ten times a second would be the service's load.
        """
        last_end = time.monotonic()
        while (open_jobs := self.open_jobs) and time.monotonic() - last_end < patience_seconds:
            for job in open_jobs:
                await self.look(job)
            if len(self.open_jobs) < len(open_jobs):
                last_end = time.monotonic()
            await asyncio.sleep(LOOK_SECONDS)

    @property
    def open_jobs(self) -> list[ChaosJob]:
        """Those that are not known to be over."""
        return [job for job in self.jobs if job.answer.get("status", "running") == "running"]

    async def look(self, job: ChaosJob) -> None:
        """Read the job once, if the service answers."""
        with contextlib.suppress(httpx.HTTPError):
            answer = await self.client.get(f"/jobs/{job.job_id}")
            if answer.status_code == 200:
                job.answer = answer.json()
            elif answer.status_code == 404 and job.deleted:
                job.answer = {"status": "error", "state": "deleted"}

    def _body(self, mark: str) -> dict[str, Any]:
        wait = f"sleep {self._dice.uniform(0.1, 1.5):.2f}"
        steps: list[list[dict[str, Any]]] = [
            [{"text": "done"}],
            [{"text": "a word", "delay_ms": self._dice.randint(100, 1500)}],
            [
                {"text": "I work.", "tool": "Bash", "input": {"command": f"echo {mark} > work.txt; {wait}"}},
                {"text": "ok"},
            ],
            [
                {"text": "I hide.", "tool": "Bash", "input": {"command": f"(setsid sleep 30 &) ; {wait}"}},
                {"text": "ok"},
            ],
        ]
        script = self._dice.choice(steps)
        body: dict[str, Any] = {
            "agent": "recruiter-triage",
            "tags": [self.tag],
            "prompt": f"{mark} offline-model: {json.dumps(script)}",
        }
        if self._dice.random() < 0.3:
            body["workspace"] = "slow"
        if self._dice.random() < 0.4:
            body["on_crash"] = "resume"
        return body
