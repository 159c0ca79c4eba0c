"""What a host tells Prometheus: everything in a registry of the host's own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
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
from deployments.telemetry.host_metrics import HostParts, HostState
from deployments.telemetry.queue_metrics import QueueMetrics
from deployments.telemetry.run_metrics import RunMetrics

KINDS = ("credential_refused", "usage_limit", "overloaded", "unreachable")
"""What the provider may have against us: `agent.provider.failures.Kind`."""

_LAGS = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LAG_EVERY_SECONDS = 0.5

# a second series for each, with the time at which it began, which nobody asks for
disable_created_metrics()  # type: ignore[no-untyped-call]


class HostMetrics:
    """One host's; `render` is all of it as text."""

    def __init__(self, host: HostParts) -> None:
        self.registry = CollectorRegistry()
        self.runs = RunMetrics(self.registry)
        self.queue = QueueMetrics(host.waiting_jobs)
        self.registry.register(HostState(host))
        self.registry.register(self.queue)
        ProcessCollector(registry=self.registry)
        self._refusals = Counter(
            "agent_service_provider_refusals",
            "Model calls that the provider refused, or that did not reach it.",
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
            "How late the event loop came to a timer: what everything else waited, too.",
            buckets=_LAGS,
            registry=self.registry,
        )
        self.settled = Counter(
            "agent_service_runs_settled",
            "Runs that a host had left in the middle, and that were given an end at its return.",
            registry=self.registry,
        )
        for kind in KINDS:
            self._refusals.labels(kind)
            self._refused_at.labels(kind)

    def hear(self, trouble: ProviderFailure) -> None:
        """A sink for the provider's troubles."""
        self._refusals.labels(trouble.kind).inc()
        self._refused_at.labels(trouble.kind).set_to_current_time()

    def tell_credential(self, since: datetime | None) -> None:
        """Since when the credential is what it is."""
        if since is not None:
            text = "When this host first saw the credential for the model that is set now."
            gauge = Gauge("agent_service_credential_since_timestamp_seconds", text, registry=self.registry)
            gauge.set(since.timestamp())

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """While this is open, the event loop is measured."""
        async with background_task(self._measure_lag()):
            try:
                yield
            finally:
                await self.queue.close()

    async def render(self) -> bytes:
        """In Prometheus' text format, version 0.0.4; takes a second at most."""
        await self.queue.look()
        return generate_latest(self.registry)

    async def _measure_lag(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(_LAG_EVERY_SECONDS)
            self._lag.observe(max(0.0, time.monotonic() - began - _LAG_EVERY_SECONDS))
