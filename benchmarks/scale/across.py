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

BOUND_SECONDS = 15.0
READY_SECONDS = 120.0
LONG: list[dict[str, Any]] = [
    {"text": "I begin.", "tool": "Bash", "input": {"command": "sleep 300"}},
    {"text": "never said"},
]


class Across:
    """Asks every host, and measures the slowest; what takes longer than the bound is broken."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._hosts: list[httpx.AsyncClient] = []
        self._callers: list[Balancer] = []
        """One for each host, who asks again where a host says that it may be asked later."""
        self.measured: dict[str, float] = {}

    async def run(self) -> list[str]:
        """What does not hold, in lines; `measured` has the seconds."""
        async with AsyncExitStack() as stack:
            headers = {"Authorization": f"Bearer {self._cluster.token}"}
            for index, member in enumerate(self._cluster.members):
                caller = Balancer(self._cluster, [index], random.Random())
                self._callers.append(await stack.enter_async_context(caller))
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
        asked = [caller.ask("POST", "/execute", json=job, headers=key) for caller in self._callers]
        job_ids = {answer["job_id"] for answer in await asyncio.gather(*asked)}
        asked = [caller.ask("POST", "/v1/chat/completions", json=chat, headers=key) for caller in self._callers]
        chat_ids = {answer["id"] for answer in await asyncio.gather(*asked)}
        return [
            f"one key at every host, {len(ids)} {what}"
            for what, ids in (("jobs", job_ids), ("chat completions", chat_ids))
            if len(ids) != 1
        ]

    async def _heard_and_ended(self, index: int) -> list[str]:
        """A job that the host at `index` cancels, while every host listens; some other host may have it."""
        job_id = (await self._callers[index].queue(LONG)).job_id
        begun = asyncio.Event()
        listening = [asyncio.create_task(self._listen(host, job_id, begun)) for host in self._hosts]
        await asyncio.wait_for(begun.wait(), READY_SECONDS)
        heard = time.monotonic()
        await self._callers[index].ask("POST", f"/jobs/{job_id}/cancel")
        hosts = zip(self._hosts, listening, strict=True)
        ends = await asyncio.gather(*(self._ended(host, job_id, task) for host, task in hosts))
        self._note("until every host tells the end of a run that one cancels", max(ends) - heard)
        firsts = [task.result() for task in listening]
        self._note("between the first and the last host that tells an event", max(firsts) - min(firsts))
        job = await self._callers[index].ask("GET", f"/jobs/{job_id}")
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
            await self._callers[0].ask("POST", path)
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
