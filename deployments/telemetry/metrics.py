"""The Prometheus registry of a host."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from agent.provider.failures import ProviderFailure
from agent.system.concurrency import background_task
from deployments.telemetry.capacity import HostCapacity
from deployments.telemetry.host_metrics import HostState
from deployments.telemetry.queue_metrics import QueueMetrics
from deployments.telemetry.run_metrics import RunMetrics

KINDS = ("credential_refused", "usage_limit", "overloaded", "unreachable")
"""The kinds of provider failures, `agent.provider.failures.Kind`: each has its series from the start."""

_LAGS = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LAG_EVERY_SECONDS = 0.5

# a second series for each one, with the time at which it began, which no dashboard of ours reads
disable_created_metrics()  # type: ignore[no-untyped-call]


class HostMetrics:
    """The metrics of one host, made with it. `capacity` and `count_jobs` are called on each scrape."""

    def __init__(self, capacity: Callable[[], HostCapacity], count_jobs: Callable[[], Awaitable[int]]) -> None:
        self.registry = CollectorRegistry()
        self.runs = RunMetrics(self.registry)
        self.queue = QueueMetrics(count_jobs)
        self.registry.register(HostState(capacity))
        self.registry.register(self.queue)
        ProcessCollector(registry=self.registry)
        self._refusals = Counter(
            "agent_service_provider_refusals",
            "Model calls that the provider rejected, or that did not reach it.",
            ["kind"],
            registry=self.registry,
        )
        self._refused_at = Gauge(
            "agent_service_provider_refused_timestamp_seconds",
            "When that happened last; 0: not since this host started.",
            ["kind"],
            registry=self.registry,
        )
        self._lag = Histogram(
            "agent_service_event_loop_lag_seconds",
            "Delay of a timer on the event loop; all requests and runs wait as long.",
            buckets=_LAGS,
            registry=self.registry,
        )
        self.settled = Counter(
            "agent_service_runs_settled",
            "Runs that a stopped host left unfinished, and that were given a final state later.",
            registry=self.registry,
        )
        for kind in KINDS:
            self._refusals.labels(kind)
            self._refused_at.labels(kind)

    def on_failure(self, failure: ProviderFailure) -> None:
        """Count a failed model call."""
        self._refusals.labels(failure.kind).inc()
        self._refused_at.labels(failure.kind).set_to_current_time()

    def set_credential_age(self, since: datetime | None) -> None:
        """Show since when the credential has been the present one; None: no credential is set."""
        if since is not None:
            text = "When this host first saw the credential for the model that is set now."
            gauge = Gauge("agent_service_credential_since_timestamp_seconds", text, registry=self.registry)
            gauge.set(since.timestamp())

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """While this is open, measure the delay of the event loop."""
        async with background_task(self._measure_lag()):
            try:
                yield
            finally:
                await self.queue.close()

    async def render(self) -> bytes:
        """Return all metrics in Prometheus' text format 0.0.4; waits for Prefect a second at most."""
        await self.queue.look()
        return generate_latest(self.registry)

    async def _measure_lag(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(_LAG_EVERY_SECONDS)
            self._lag.observe(max(0.0, time.monotonic() - began - _LAG_EVERY_SECONDS))
