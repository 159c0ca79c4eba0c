"""Asks the service, as its callers do, and sees when it has come to rest again."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil

from benchmarks.harness.service import any_agents
from benchmarks.timing import Stopwatch, Timing
from demo.service import Stage

LIMIT_SECONDS = 300.0
REST_SECONDS = 0.5
LONGEST_REST_SECONDS = 20.0
BUSY_SECONDS = 0.05
UNAVAILABLE = 503
TRIES = 3
MODEL = "claude-sonnet-4-6"


class Unavailable(Exception):
    """The service told its caller to come again; its reason."""


def prompt_of(text: str = "pong", **step: Any) -> str:
    """A prompt that the offline model answers with `text`."""
    return f"offline-model: {json.dumps({'text': text} | step)}"


def client_of(stage: Stage) -> httpx.AsyncClient:
    """A caller with as many connections and as much patience as it takes."""
    return httpx.AsyncClient(
        base_url=stage.url,
        headers={"Authorization": f"Bearer {stage.token}"},
        timeout=LIMIT_SECONDS,
        limits=httpx.Limits(max_connections=None),
        trust_env=False,
    )


@dataclass
class MeasuredCaller:
    """One who asks over and over, now the agent that the service expects, now one that it does not."""

    client: httpx.AsyncClient
    model: str = MODEL
    refused: int = 0
    """How often a patient one was told to come again."""
    _others: itertools.cycle[str] = field(default_factory=lambda: itertools.cycle(any_agents()))

    async def whole(self, prompt: str, *, any_agent: bool = False) -> Timing:
        """A chat completion that is answered as a whole."""
        watch = Stopwatch()
        answer = await self.client.post("/v1/chat/completions", json=self._body(prompt, any_agent))
        timing = watch.stop()
        if answer.status_code == UNAVAILABLE:
            raise Unavailable(answer.text[:300])
        answer.raise_for_status()
        return timing

    async def patient(self, prompt: str) -> Timing:
        """The same for one who asks again after a 503, as OpenAI's clients do: all tries are in the time."""
        watch = Stopwatch()
        for _ in range(TRIES):
            try:
                await self.whole(prompt)
                return watch.stop()
            except Unavailable:
                self.refused += 1
        raise Unavailable(f"{TRIES} times")

    async def streamed(self, prompt: str, *, any_agent: bool = False) -> Timing:
        """One that is answered as it is said."""
        watch = Stopwatch()
        body = self._body(prompt, any_agent) | {"stream": True}
        async with self.client.stream("POST", "/v1/chat/completions", json=body) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                if '"content":"' in line and '"content":""' not in line:
                    watch.first()
                if '"error"' in line:
                    raise RuntimeError(line[:300])
        return watch.stop()

    def _body(self, prompt: str, any_agent: bool) -> dict[str, Any]:
        model = f"{next(self._others)}/{self.model}" if any_agent else self.model
        return {"model": model, "messages": [{"role": "user", "content": prompt}]}


async def at_rest(stage: Stage) -> None:
    """Return once every slot is free and no agent prepares for the next; after 20 s in any case."""
    deadline = time.monotonic() + LONGEST_REST_SECONDS
    async with httpx.AsyncClient(base_url=stage.url, trust_env=False) as client:
        while time.monotonic() < deadline:
            capacity = (await client.get("/health")).json()["capacity"]
            before = agents_at_work(stage)
            await asyncio.sleep(REST_SECONDS)
            after = agents_at_work(stage)
            is_still = before.keys() == after.keys() and sum(after.values()) - sum(before.values()) < BUSY_SECONDS
            if capacity["free"] == capacity["agents"] and is_still:
                return


def agents_at_work(stage: Stage) -> dict[int, float]:
    """The processes of the CLI and of git under the service, and the seconds of CPU that each has used."""
    found = {}
    for process in psutil.Process(stage.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.name() in ("claude", "git"):
                times = process.cpu_times()
                found[process.pid] = times.user + times.system
    return found


async def parked(client: httpx.AsyncClient) -> int:
    """How many processes of the CLI wait to be asked."""
    return int((await client.get("/health")).json()["capacity"].get("parked", 0))
