"""The load of `embedded_server`: a flow of three tasks, run in this process against the server in the environment.

`python -m benchmarks.harness.three_task_flow AT_ONCE RUNS [--held]` prints one JSON object: the seconds of each run
and of all, the seconds of CPU that they took here, and how many calls the server refused with 503.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack
from typing import Any

import httpx
from prefect import flow, task
from prefect.context import AsyncClientContext, SyncClientContext


@task
async def first() -> int:
    """Return 1."""
    return 1


@task
async def second(number: int) -> int:
    """Return the next number."""
    return number + 1


@task
async def third(number: int) -> int:
    """Return the next number."""
    return number + 1


@flow
async def three_tasks() -> int:
    """Return 3."""
    return await third(await second(await first()))


async def load(at_once: int, runs: int, held: bool) -> dict[str, Any]:
    """Run the flow `runs` times, `at_once` at a time, after one run that is not counted."""
    refusals = count_refusals()
    async with AsyncExitStack() as stack:
        if held:
            stack.enter_context(SyncClientContext())
            await stack.enter_async_context(AsyncClientContext())
        await timed()
        places = asyncio.Semaphore(at_once)

        async def placed() -> float:
            async with places:
                return await timed()

        started, started_cpu = time.perf_counter(), time.process_time()
        seconds = await asyncio.gather(*(placed() for _ in range(runs)))
        return {
            "seconds": seconds,
            "elapsed": time.perf_counter() - started,
            "cpu": time.process_time() - started_cpu,
            "refused": len(refusals),
        }


async def timed() -> float:
    """Run the flow and return its seconds; raises RuntimeError if it did not complete."""
    started = time.perf_counter()
    state = await three_tasks(return_state=True)
    if not state.is_completed():
        raise RuntimeError(f"a run ended as {state.name}: {state.message}")
    return time.perf_counter() - started


def count_refusals() -> list[str]:
    """Return a list that grows by each 503 from now on; Prefect's client hides them by trying again."""
    refused: list[str] = []
    send = httpx.AsyncClient.send

    async def noting_send(self: httpx.AsyncClient, request: httpx.Request, **options: Any) -> httpx.Response:
        response = await send(self, request, **options)
        if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            refused.append(request.url.path)
        return response

    httpx.AsyncClient.send = noting_send  # type: ignore[method-assign]
    return refused


if __name__ == "__main__":
    print(json.dumps(asyncio.run(load(int(sys.argv[1]), int(sys.argv[2]), "--held" in sys.argv))))
