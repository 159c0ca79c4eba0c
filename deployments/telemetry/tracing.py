"""OpenTelemetry set-up and export: traces of runs, sent to TRACES_ENDPOINT."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from opentelemetry.trace import Tracer

from agent.domain.errors import NotConfigured
from deployments.settings import HostSettings
from deployments.telemetry.observers import ObservedRun, Observer
from deployments.telemetry.run_trace import RunTrace

try:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON
except ImportError:
    IS_INSTALLED = False
    IdGenerator = object  # type: ignore[assignment,misc]
else:
    IS_INSTALLED = True

SERVICE = "claude-agent-service"

_SEND_SECONDS = 5.0
_LAST_SECONDS = 3.0


class RunIds(IdGenerator):
    """An id generator: the id of a run's trace is the run's id, so that one finds the other."""

    def __init__(self) -> None:
        self.trace_id = 0

    def generate_trace_id(self) -> int:
        """Return the id of the run."""
        return self.trace_id

    def generate_span_id(self) -> int:
        """Return any number but 0, which stands for no span."""
        return secrets.randbits(64) or 1


class Tracing:
    """Traces the runs of a host; an observer, added while `tracing` is open."""

    def __init__(self, tracer: Tracer, ids: RunIds) -> None:
        self._tracer = tracer
        self._ids = ids

    def watch(self, run: ObservedRun) -> RunTrace:
        """Return the watch that traces this run."""
        self._ids.trace_id = run.run_id.int
        return RunTrace(self._tracer, run)


@asynccontextmanager
async def tracing(settings: HostSettings, observers: list[Observer], host_id: str) -> AsyncIterator[None]:
    """While this is open, trace runs if TRACES_ENDPOINT is set. Raises NotConfigured without the extra.

    No run waits for the collector: spans are sent from a thread, and dropped when its queue is full.
    """
    if settings.traces_endpoint is None:
        yield
        return
    if not IS_INSTALLED:
        raise NotConfigured(
            "TRACES_ENDPOINT is set, and OpenTelemetry is not installed: pip install 'claude-agent-service[traces]', "
            "or leave TRACES_ENDPOINT unset"
        )
    exporter = OTLPSpanExporter(settings.traces_endpoint, headers=read_headers(settings), timeout=_SEND_SECONDS)
    async with sending(exporter, observers, host_id):
        yield


@asynccontextmanager
async def sending(exporter: SpanExporter, observers: list[Observer], host_id: str) -> AsyncIterator[None]:
    """While this is open, trace runs and give their spans to `exporter`; the last ones have 3 s."""
    ids = RunIds()
    # not OpenTelemetry's global provider: with that Prefect's engine traces as well, at a call for each run
    provider = TracerProvider(
        sampler=ALWAYS_ON,
        resource=Resource.create({"service.name": SERVICE, "service.instance.id": host_id}),
        shutdown_on_exit=False,
        id_generator=ids,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    observer = Tracing(provider.get_tracer(SERVICE), ids)
    observers.append(observer)
    try:
        yield
    finally:
        observers.remove(observer)
        last = threading.Thread(target=provider.shutdown, name="last traces", daemon=True)
        last.start()
        await asyncio.to_thread(last.join, _LAST_SECONDS)


def read_headers(settings: HostSettings) -> dict[str, str]:
    """Return TRACES_HEADERS as a mapping. Raises NotConfigured where it is not a list of NAME=VALUE."""
    given = settings.traces_headers.get_secret_value() if settings.traces_headers is not None else ""
    pairs = [pair.partition("=") for pair in given.split(",") if pair.strip()]
    if not all(name.strip() and separator for name, separator, _ in pairs):
        raise NotConfigured("TRACES_HEADERS must be NAME=VALUE,NAME=VALUE; correct it in the environment or in .env")
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
