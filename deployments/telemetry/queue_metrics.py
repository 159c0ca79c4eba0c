"""Metrics of waiting callers and jobs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from deployments.prefect_client.calls import PrefectUnavailable

FRESH_SECONDS = 5.0
"""Prefect is asked for the number of due jobs at most so often."""

SCRAPE_SECONDS = 1.0
"""A scrape waits for Prefect at most so long."""


class QueueMetrics(Collector):
    """A collector of queue depths; one per host. The jobs are left out while Prefect does not answer."""

    def __init__(self, count_jobs: Callable[[], Awaitable[int]], clock: Callable[[], float] = time.monotonic) -> None:
        self._count_jobs = count_jobs
        self._clock = clock
        self._callers = 0
        self._jobs: int | None = None
        self._asked_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    @contextmanager
    def waiting_caller(self) -> Iterator[None]:
        """While this is open, count one waiting caller more."""
        self._callers += 1
        try:
            yield
        finally:
            self._callers -= 1

    async def look(self) -> None:
        """Ask Prefect if the last answer is old, and wait a moment for it; concurrent scrapes share the call."""
        if self._asking is None:
            if self._clock() - self._asked_at < FRESH_SECONDS:
                return
            self._asking = asyncio.create_task(self._ask())
        await asyncio.wait({self._asking}, timeout=SCRAPE_SECONDS)
        if self._asking is not None:  # an answer that comes later is for the next scrape
            self._jobs = None

    def collect(self) -> Iterable[Metric]:
        """Yield the depth of both queues."""
        depth = GaugeMetricFamily(
            "agent_service_queue_depth",
            "Runs that wait for a slot: chat callers at this host; jobs that are due, of all hosts, in Prefect.",
            labels=["queue"],
        )
        depth.add_metric(["chat"], self._callers)
        if self._jobs is not None:
            depth.add_metric(["jobs"], self._jobs)
        yield depth

    async def close(self) -> None:
        """Cancel the call that is open, if any."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _ask(self) -> None:
        self._asked_at = self._clock()
        try:
            self._jobs = await self._count_jobs()
        except PrefectUnavailable:
            self._jobs = None
        finally:
            self._asking = None
