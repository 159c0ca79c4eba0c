"""One host's run, asked for at every other one: its events, its end, its key, the operator's switch."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import httpx

from benchmarks.scale.balancer import Balancer
from benchmarks.scale.cluster import Cluster

BOUND_SECONDS = 10.0
READY_SECONDS = 60.0
LONG: list[dict[str, Any]] = [
    {"text": "I begin.", "tool": "Bash", "input": {"command": "sleep 300"}},
    {"text": "never said"},
]


class Across:
    """Asks every host, and measures the slowest; what takes longer than the bound is broken."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._hosts: list[httpx.AsyncClient] = []
        self.measured: dict[str, float] = {}

    async def run(self) -> list[str]:
        """What does not hold, in lines; `measured` has the seconds."""
        async with AsyncExitStack() as stack:
            headers = {"Authorization": f"Bearer {self._cluster.token}"}
            for member in self._cluster.members:
                client = httpx.AsyncClient(base_url=member.url, headers=headers, timeout=READY_SECONDS)
                self._hosts.append(await stack.enter_async_context(client))
            found = await self._one_key_one_run()
            for index in range(len(self._hosts)):
                found += await self._heard_and_ended(index)
            found += await self._paused()
        slow = [f"{what} took {took:.1f} s" for what, took in self.measured.items() if took > BOUND_SECONDS]
        return found + slow

    async def _one_key_one_run(self) -> list[str]:
        """The same key at every host at the same moment, as a job and as a chat completion."""
        key = {"Idempotency-Key": uuid4().hex}
        job = {"agent": "recruiter-triage", "prompt": "one of many"}
        chat = {"messages": [{"role": "user", "content": "one of many"}]}
        jobs = await asyncio.gather(*(host.post("/execute", json=job, headers=key) for host in self._hosts))
        job_ids = {answer.json().get("job_id") for answer in jobs}
        asked = [host.post("/v1/chat/completions", json=chat, headers=key) for host in self._hosts]
        chats = await asyncio.gather(*asked)
        run_ids = {answer.headers.get("x-flow-run-id") for answer in chats if answer.status_code == 200}
        found = [] if len(job_ids) == 1 else [f"one key, {len(job_ids)} jobs"]
        if len(run_ids) != 1 or any(answer.status_code != 200 for answer in chats):
            found.append(f"one key, chat answers {[answer.status_code for answer in chats]} of {len(run_ids)} runs")
        return found

    async def _heard_and_ended(self, index: int) -> list[str]:
        """A job that the host at `index` cancels, while every host listens; some other host may have it."""
        async with Balancer(self._cluster, [index], random.Random()) as caller:
            job_id = (await caller.queue(LONG)).job_id
        begun = asyncio.Event()
        listening = [asyncio.create_task(self._listen(host, job_id, begun)) for host in self._hosts]
        await asyncio.wait_for(begun.wait(), READY_SECONDS)
        heard = time.monotonic()
        (await self._hosts[index].post(f"/jobs/{job_id}/cancel")).raise_for_status()
        hosts = zip(self._hosts, listening, strict=True)
        ends = await asyncio.gather(*(self._ended(host, job_id, task) for host, task in hosts))
        self._note("until every host tells the end of a run that one cancels", max(ends) - heard)
        firsts = [task.result() for task in listening]
        self._note("between the first and the last host that tells an event", max(firsts) - min(firsts))
        job = (await self._hosts[index].get(f"/jobs/{job_id}")).json()
        ended = (job["status"], job["state"]) == ("error", "Cancelled")
        return [] if ended else [f"cancelled at {index}, {job_id} is {job['status']}, {job['state']}"]

    async def _listen(self, host: httpx.AsyncClient, job_id: str, begun: asyncio.Event) -> float:
        """When this host told what the agent said; returns once it has told the end."""
        said = 0.0
        async with host.stream("GET", f"/jobs/{job_id}/events") as answer:
            async for line in answer.aiter_lines():
                if line == "event: said" and not said:
                    said = time.monotonic()
                    begun.set()
        return said

    async def _ended(self, host: httpx.AsyncClient, job_id: str, listening: asyncio.Task[float]) -> float:
        await listening
        await host.get(f"/jobs/{job_id}", params={"wait": READY_SECONDS})
        return time.monotonic()

    async def _paused(self) -> list[str]:
        """The kill switch of one host is all hosts'."""
        for path, is_paused in (("/pause", True), ("/resume", False)):
            asked = time.monotonic()
            (await self._hosts[0].post(path)).raise_for_status()
            for host in self._hosts:
                await _until(lambda host=host: _is_paused(host), is_paused)  # type: ignore[misc]
            self._note(f"until every host has heard of {path}", time.monotonic() - asked)
        return []

    def _note(self, what: str, seconds: float) -> None:
        self.measured[what] = max(self.measured.get(what, 0.0), seconds)


async def _is_paused(host: httpx.AsyncClient) -> bool:
    health: dict[str, Any] = (await host.get("/health")).json()
    return "paused" in health


async def _until(claim: Callable[[], Awaitable[bool]], wanted: bool) -> None:
    async with asyncio.timeout(READY_SECONDS):
        while await claim() != wanted:
            await asyncio.sleep(0.1)
