"""A running service as somebody sees it who queues, watches and ends jobs."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import psutil
from waiting import pauses

from demo.service import Stage


class Jobs:
    """The service's jobs, and the processes that are at work for them."""

    def __init__(self, client: httpx.AsyncClient, stage: Stage) -> None:
        self.client = client
        self.stage = stage

    async def start(self, *steps: dict[str, Any], **members: Any) -> str:
        """Queue a job in which the model takes these steps; gives its id."""
        body = {"agent": "recruiter-triage", "prompt": f"offline-model: {json.dumps(steps)}", **members}
        answer = await self.client.post("/execute", json=body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["job_id"])

    async def read(self, job_id: str, wait: float = 0) -> dict[str, Any]:
        """The job as it is now, or once it is over if that is within `wait` seconds."""
        answer = await self.client.get(f"/jobs/{job_id}", params={"wait": wait})
        assert answer.status_code == 200, answer.text
        job: dict[str, Any] = answer.json()
        return job

    async def finished(self, job_id: str, seconds: float = 60) -> dict[str, Any]:
        """The job once it is over."""
        async with asyncio.timeout(seconds):
            while (job := await self.read(job_id, wait=30))["status"] == "running":
                pass
        return job

    async def cancel(self, job_id: str) -> dict[str, Any]:
        """The answer to a cancellation through our API."""
        answer = await self.client.post(f"/jobs/{job_id}/cancel")
        assert answer.status_code == 200, answer.text
        job: dict[str, Any] = answer.json()
        return job

    async def state(self, job_id: str, state: str) -> None:
        """Return once Prefect has the run in that state."""
        async with asyncio.timeout(30):
            for pause in pauses():
                if (await self.read(job_id))["state"] == state:
                    return
                await asyncio.sleep(pause)

    def processes(self, word: str) -> list[psutil.Process]:
        """What runs below the service with `word` on its command line."""
        found = []
        for process in psutil.Process(self.stage.process.pid).children(recursive=True):
            try:
                if process.status() != psutil.STATUS_ZOMBIE and word in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.NoSuchProcess:
                continue
        return found
