"""Composes one host: runtime, store, Prefect client, holds, metrics."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from datetime import datetime
from pathlib import Path

from prefect.client.orchestration import PrefectClient
from prefect.context import AsyncClientContext, SyncClientContext

from agent.domain.errors import NotConfigured
from agent.provider.failures import ProviderFailure
from agent.provider.proxy import ProviderProxy
from agent.runtime import Runtime
from agent.settings import AgentSettings
from agent.system.ownership import HOST_LOCK, OTHER_STATE_DIR, owning
from deployments.holds.disk_space import DiskSpace
from deployments.holds.holds import Holds
from deployments.holds.pause import PauseSwitch
from deployments.holds.provider_hold import ProviderHold
from deployments.host.cancellation import CancellationListener
from deployments.host.credential_age import credential_since
from deployments.host.execution import Execution
from deployments.host.heartbeats import Heartbeats
from deployments.host.inline_run import InlineRuns
from deployments.host.job_queue import JobQueue
from deployments.host.run_records import RunRecords
from deployments.prefect_client.calls import PrefectUnavailable
from deployments.prefect_client.engine_changes import adapt_engine
from deployments.prefect_client.foreign_answers import distrust_async, distrust_sync
from deployments.prefect_client.watch import Watches
from deployments.settings import HostSettings, host_secrets
from deployments.telemetry.capacity import HostCapacity, Isolation, WarmCounts
from deployments.telemetry.metrics import HostMetrics
from deployments.telemetry.observers import Observer
from deployments.telemetry.tracing import tracing
from store.store import Store

_log = logging.getLogger(__name__)


class Host:
    """One machine's agents: for callers that wait, at once in this process; for the rest, through the work pools.

    Made whole by `open_host`, which also closes it.
    """

    def __init__(
        self, agent_settings: AgentSettings, settings: HostSettings, store: Store, prefect: PrefectClient
    ) -> None:
        self.settings = settings
        self.store = store
        self.prefect = prefect
        self.watches = Watches()
        self.holds = Holds(
            PauseSwitch(prefect, self.watches),
            ProviderHold(),
            DiskSpace(agent_settings.state_dir, settings.min_free_disk_mb),
        )
        self.provider = _provider(agent_settings, self._on_provider_failure, self.holds.provider.on_answer)
        self.runtime = Runtime(agent_settings, self.provider, host_secrets(agent_settings, settings))
        self.agents_queued = asyncio.Event()
        """Set when this host has queued an agent run: its worker need not poll."""
        self.triages_queued = asyncio.Event()
        self.queue = JobQueue(prefect, store, self.holds, self.runtime.check_limits, self.agents_queued.set)
        self.metrics = HostMetrics(self.capacity, self.queue.count_due)
        self.observers: list[Observer] = [self.metrics.runs]
        self.records = RunRecords(agent_settings.state_dir, is_alone=not settings.end_lost_runs)
        self.cancellations = CancellationListener(prefect, self.watches)
        self.heartbeats = Heartbeats(prefect, self.watches, self.cancellations.all_running)
        self.execution = Execution(
            self.runtime, store, self.holds.provider, self.records, self.cancellations, self.observers
        )
        self.inline = InlineRuns(
            self.runtime,
            self.execution,
            self.queue,
            self.holds,
            self.metrics.queue,
            claim=self.records.claim,
            max_waiting=settings.max_queue_depth,
        )

    @property
    def secrets_dir(self) -> Path:
        """Return the directory of named secrets."""
        return self.settings.secrets_dir or self.runtime.settings.state_dir / "secrets"

    def capacity(self) -> HostCapacity:
        """Read what the host can take on now; from memory, but for the free disk space."""
        slots, warm, sandbox = self.runtime.slots, self.runtime.warm, self.runtime.sandbox
        pause, provider, disk = self.holds.pause, self.holds.provider, self.holds.disk
        return HostCapacity(
            slots=slots.capacity,
            free=slots.free,
            waiting=slots.waiting,
            is_busy=slots.free == 0 or self.holds.reason() is not None,
            held_until=provider.until,
            held_reason=provider.reason,
            provider_hold=provider.active,
            paused=pause.paused,
            disk_free_bytes=disk.free,
            disk_min_free_bytes=disk.min_free_bytes,
            is_disk_low=disk.is_low,
            warm=WarmCounts(warm.idle, warm.counters.hits, warm.counters.misses, warm.counters.replacements),
            watches=self.watches.ages(),
            isolation=Isolation(sandbox.probe.kind, sandbox.probe.version, sandbox.cgroups.version),
        )

    def _on_provider_failure(self, failure: ProviderFailure) -> None:
        self.holds.provider.on_failure(failure)
        self.metrics.on_failure(failure)


@asynccontextmanager
async def open_host(agent_settings: AgentSettings, settings: HostSettings, store: Store) -> AsyncIterator[Host]:
    """Open a host on this state directory; at its end no run and no agent of it is left.

    Raises NotConfigured while another process has a host on it.
    """
    adapt_engine()
    owned = owning(agent_settings.state_dir / HOST_LOCK, OTHER_STATE_DIR)
    await asyncio.to_thread(owned.__enter__)
    try:
        async with _open_host(agent_settings, settings, store) as host:
            yield host
    finally:
        owned.__exit__(None, None, None)


@asynccontextmanager
async def _prefect_clients() -> AsyncIterator[AsyncClientContext]:
    """Open Prefect's clients. Raises PrefectUnavailable if the server does not answer."""
    async with AsyncExitStack() as stack:
        try:
            clients = await stack.enter_async_context(AsyncClientContext())
        except RuntimeError as error:  # what Prefect makes of it
            raise PrefectUnavailable(str(error.__cause__ or error)) from error
        yield clients


@asynccontextmanager
async def _open_host(agent_settings: AgentSettings, settings: HostSettings, store: Store) -> AsyncIterator[Host]:
    # Prefect's engine makes new clients for each run, 60 ms of SSL contexts, unless it finds these
    async with _prefect_clients() as clients:
        with SyncClientContext() as blocking:
            distrust_async(clients.client)
            distrust_sync(blocking.client)
            host = Host(agent_settings, settings, store, clients.client)
            async with tracing(settings, host.observers, host.records.host_id), host.provider or nullcontext():
                await host.runtime.open()
                host.metrics.set_credential_age(await asyncio.to_thread(credential_since, agent_settings))
                async with host.metrics.watching(), _probing(host):
                    try:
                        yield host
                    finally:
                        await host.inline.close()


def _probing(host: Host) -> AbstractAsyncContextManager[None]:
    return host.holds.provider.probing(host.provider.probe) if host.provider is not None else nullcontext()


def _provider(
    settings: AgentSettings, on_failure: Callable[[ProviderFailure], None], on_answer: Callable[[datetime], None]
) -> ProviderProxy | None:
    """Return the proxy to the provider; None without a credential, and then each run says which one to set."""
    try:
        return ProviderProxy(settings, on_trouble=on_failure, on_answer=on_answer)
    except NotConfigured as error:
        _log.warning("%s", error)
        return None
