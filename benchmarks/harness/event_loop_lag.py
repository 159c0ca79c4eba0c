"""The lag of a host's event loop, measured by the answers of `/health`."""

from __future__ import annotations

import asyncio
import http.client
import threading
import time
from urllib.parse import urlsplit

from benchmarks.harness.client import MeasuredCaller, at_rest, client_of, prompt_of
from benchmarks.harness.jobs import prefect_of, run_job
from benchmarks.harness.service import Scene
from benchmarks.report.figures import Figure

EVERY_SECONDS = 0.01
ROUNDS = 3
PATIENCE_SECONDS = 30.0


class Sampler:
    """Asks one address every 10 ms, in a thread of its own; `milliseconds` has how long each answer took."""

    def __init__(self, url: str, path: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_SECONDS)
        self._path = path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self.milliseconds: list[float] = []

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(PATIENCE_SECONDS)
        self._connection.close()

    def _ask(self) -> None:
        while not self._stop.wait(EVERY_SECONDS):
            began = time.perf_counter()
            self._connection.request("GET", self._path)
            self._connection.getresponse().read()
            self.milliseconds.append(1000 * (time.perf_counter() - began))


async def lags(scene: Scene, runs: int, rounds: int = ROUNDS) -> list[Figure]:
    """Of some rounds, how long answers took at rest, under so many runs, and of a server that has nothing to do."""
    await at_work(scene, 2)
    await at_rest(scene.stage)
    with Sampler(scene.stage.url, "/health") as idle:
        await asyncio.sleep(3)
    busy, worst, others = [], [], []
    for _ in range(rounds):
        await at_rest(scene.stage)
        with Sampler(scene.stage.url, "/health") as health, Sampler(scene.model_url, "/api/hello") as other:
            await at_work(scene, runs)
        busy += health.milliseconds
        worst.append(max(health.milliseconds))
        others.append(max(other.milliseconds))
    return [
        Figure(name="GET /health at rest", values=idle.milliseconds),
        Figure(name=f"GET /health under {runs} runs", values=busy),
        Figure(name=f"GET /health under {runs} runs, the worst of a round", values=worst),
        Figure(name=f"an idle server under {runs} runs, the worst of a round", values=others),
    ]


async def at_work(scene: Scene, runs: int) -> None:
    """So many runs at once, half of them chat completions and half of them jobs."""
    async with client_of(scene.stage) as client, prefect_of(scene.stage) as prefect:
        chats = [MeasuredCaller(client).patient(prompt_of()) for _ in range(runs - runs // 2)]
        await asyncio.gather(*chats, *(run_job(client, prefect) for _ in range(runs // 2)))
