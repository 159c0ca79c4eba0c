"""One machine's agents: its slots, its store, and its way to Prefect."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterNextScheduledStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.context import AsyncClientContext, SyncClientContext
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling as CancellingState
from prefect.states import Pending, Scheduled

from agent.claude.turn import Content
from agent.domain.checkout import Resumption
from agent.domain.errors import AgentBusy, AgentPaused, DiskFull, NotConfigured
from agent.domain.events import Sink, bound
from agent.domain.request import AgentRequest
from agent.domain.result import Outcome
from agent.pool.slots import Slot
from agent.provider.failures import ProviderFailure
from agent.provider.proxy import ProviderProxy
from agent.runtime import Runtime
from agent.settings import AgentSettings
from deployments.holds.disk_space import DiskSpace
from deployments.holds.pause import PauseSwitch
from deployments.holds.provider_hold import ProviderHold
from deployments.host.cancellation import CancellationListener
from deployments.host.credential_age import credential_since
from deployments.host.execution import Execution
from deployments.host.inline_run import InlineRun
from deployments.host.job_queue import DEPLOYMENT, _not_registered
from deployments.host.run_metadata import run_labels, run_name, run_tags
from deployments.host.run_records import RunRecords
from deployments.pools import WORK_POOL, Priority
from deployments.prefect_client.calls import calling_prefect
from deployments.prefect_client.engine import create_run, do_without_suspension
from deployments.prefect_client.flow_runs import find_flow_id
from deployments.settings import HostSettings
from deployments.telemetry.metrics import HostMetrics
from deployments.telemetry.observers import Observer
from deployments.telemetry.tracing import tracing
from flows.agent_run import agent_run
from flows.triage import triage
from store.store import Store
from tasks.agent_run.outcome import CANCELLED
from tasks.agent_run.stored_input import store_input

_log = logging.getLogger(__name__)

_BOOKKEEPING_SECONDS = 15.0


class Host:
    """Runs agents: for callers who wait, at once in this process; for the rest, through the work pool."""

    def __init__(self, agent_settings: AgentSettings, settings: HostSettings, store: Store) -> None:
        self.settings = settings
        self.hold = ProviderHold()
        self._provider = _provider(agent_settings, self._hear)
        self.runtime = Runtime(agent_settings, self._provider)
        self.disk = DiskSpace(agent_settings.state_dir, settings.min_free_disk_mb)
        self.metrics = HostMetrics(self)
        self.observers: list[Observer] = [self.metrics.runs]
        self.store = store
        self.nudge: Callable[[], None] = lambda: None
        self.triage_nudge: Callable[[], None] = lambda: None
        self._client: PrefectClient | None = None
        self._stack = AsyncExitStack()
        self.in_flight = RunRecords(agent_settings.state_dir)
        self.resumptions: dict[UUID, Resumption] = {}
        self.carried: list[tuple[FlowRun, Slot]] = []
        """Runs that an earlier host has begun, each in the slot that it had: the worker takes them first of all."""
        self.execution = Execution(self)
        self._inline: set[InlineRun] = set()
        self._flow_id: UUID | None = None
        self._triage_flow_id: UUID | None = None
        self._known_deployment_id: UUID | None = None

    async def __aenter__(self) -> Host:
        do_without_suspension()
        await self._stack.enter_async_context(tracing(self.settings, self.observers, self.in_flight.host_id))
        # Prefect's engine makes new clients for each run, 60 ms of SSL contexts, unless it finds these.
        clients = await self._stack.enter_async_context(AsyncClientContext())
        self._stack.enter_context(SyncClientContext())
        self._client = clients.client
        if self._provider is not None:
            await self._stack.enter_async_context(self._provider)
        await self.runtime.open()
        self.metrics.tell_credential(await asyncio.to_thread(credential_since, self.runtime.settings))
        await self._stack.enter_async_context(self.metrics.watching())
        return self

    async def __aexit__(self, *_exception: object) -> None:
        # their callers have their answers: what is left is to keep and to publish them
        await asyncio.gather(*(run.end(_BOOKKEEPING_SECONDS) for run in self._inline))
        await self._stack.aclose()

    @property
    def prefect(self) -> PrefectClient:
        """The client that all of this process shares."""
        if self._client is None:
            raise RuntimeError("the host is not open")
        return self._client

    @cached_property
    def switch(self) -> PauseSwitch:
        """The kill switch."""
        return PauseSwitch(self.prefect)

    @cached_property
    def cancelling(self) -> CancellationListener:
        """The way for a cancellation to the runs of this host."""
        return CancellationListener(self.prefect)

    @property
    def secrets_dir(self) -> Path:
        """Where named secrets lie."""
        return self.settings.secrets_dir or self.runtime.settings.state_dir / "secrets"

    @property
    def busy(self) -> bool:
        """Whether an agent that is asked for now would have to wait."""
        held = self.switch.holds_agents or self.hold.until is not None or self.disk.is_low
        return held or self.runtime.slots.free == 0

    def _hear(self, trouble: ProviderFailure) -> None:
        self.hold.hear(trouble)
        self.metrics.hear(trouble)

    async def submit(
        self,
        request: AgentRequest,
        *,
        tags: list[str],
        priority: Priority = "default",
        run_at: datetime | None = None,
        key: str | None = None,
    ) -> UUID:
        """Queue a run of its own for `request`, and give its id; for the same `key` it is the same run.

        Raises DiskFull, PrefectUnavailable or StoreUnavailable.
        """
        self.runtime.check_bounds(request)
        if self.disk.is_low:
            raise DiskFull
        small = await store_input(self.store, request)
        async with calling_prefect():
            flow_run = await self.prefect.create_flow_run_from_deployment(
                await self._deployment_id(),
                parameters={"request": small.model_dump(mode="json")},
                name=run_name(request),
                tags=run_tags(request, tags),
                labels=run_labels(request, tags),
                state=Scheduled(scheduled_time=run_at) if run_at is not None else None,
                work_queue_name=priority if priority != "default" else None,
                idempotency_key=key,
            )
        self.nudge()
        return flow_run.id

    async def waiting_jobs(self) -> int:
        """How many runs are due and wait in the work pool; raises PrefectUnavailable."""
        async with calling_prefect():
            return await self.prefect.count_flow_runs(
                flow_run_filter=FlowRunFilter(
                    state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
                    next_scheduled_start_time=FlowRunFilterNextScheduledStartTime(before_=datetime.now(UTC)),
                ),
                work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[WORK_POOL])),
            )

    async def find_run(self, run_id: UUID) -> FlowRun | None:
        """The flow run of that id, if there is one and it is an agent's or a triage; raises PrefectUnavailable."""
        async with calling_prefect():
            try:
                flow_run = await self.prefect.read_flow_run(run_id)
            except ObjectNotFound:
                return None
            ours = flow_run.flow_id in (await self.flow_id(), await self.triage_flow_id())
            return flow_run if ours else None

    async def flow_id(self) -> UUID:
        """The id of the flow `agent_run`; raises NotConfigured when it is not registered."""
        if self._flow_id is None:
            self._flow_id = await find_flow_id(self.prefect, agent_run.name)
        if self._flow_id is None:
            raise _not_registered()
        return self._flow_id

    async def triage_flow_id(self) -> UUID | None:
        """The id of the flow `triage`, if the register has a deployment of it."""
        if self._triage_flow_id is None:
            self._triage_flow_id = await find_flow_id(self.prefect, triage.name)
        return self._triage_flow_id

    async def _deployment_id(self) -> UUID:
        if self._known_deployment_id is None:
            try:
                self._known_deployment_id = (await self.prefect.read_deployment_by_name(DEPLOYMENT)).id
            except ObjectNotFound:
                raise _not_registered() from None
        return self._known_deployment_id

    async def find_outcome(self, run_id: UUID) -> Outcome | None:
        """What a run came to, once it is kept; raises StoreUnavailable."""
        body = await self.store.outcomes.load(run_id)
        return None if body is None else Outcome.model_validate_json(body)

    @asynccontextmanager
    async def inline(
        self,
        request: AgentRequest,
        *,
        tags: list[str],
        wait_seconds: float,
        content: Content | None = None,
        sink: Sink | None = None,
    ) -> AsyncIterator[InlineRun]:
        """A run in this process, started once it has a slot; whoever leaves before its outcome cancels it.

        Raises AgentBusy when no slot came free in time, or too many wait already; AgentPaused, DiskFull,
        PrefectUnavailable, StoreUnavailable.
        """
        self.runtime.check_bounds(request)
        if self.switch.holds_agents:
            raise AgentPaused
        if self.disk.is_low:
            raise DiskFull
        asked_at = datetime.now(UTC)
        slots = self.runtime.slots
        if slots.free == 0 and slots.waiting >= self.settings.max_queue_depth:
            raise AgentBusy
        with self.metrics.queue.caller():
            slot = await slots.take(wait_seconds, self.runtime.warm.preference(request))
        try:
            run = await self._start_inline(slot, request, content, tags, sink, asked_at)
        except BaseException:
            slots.give_back(slot)
            raise
        try:
            yield run
        finally:
            run.cancel_unless_told()

    def cancel_inline(self) -> int:
        """End the runs of callers who wait, and count them."""
        for run in self._inline:
            run.cancel()
        return len(self._inline)

    async def cancel(self, run_id: UUID) -> None:
        """End a run that is not over, wherever it is; raises PrefectUnavailable."""
        async with calling_prefect():
            await self.prefect.set_flow_run_state(run_id, CancellingState(message=CANCELLED))
        self.cancelling.tell(run_id)

    async def _start_inline(
        self,
        slot: Slot,
        request: AgentRequest,
        content: Content | None,
        tags: list[str],
        sink: Sink | None,
        asked_at: datetime,
    ) -> InlineRun:
        small = await store_input(self.store, request, content)
        parameters = {"request": small.model_dump(mode="json")}
        claim = self.in_flight.claim
        async with calling_prefect():
            flow_run = await create_run(
                self.prefect,
                await self.flow_id(),
                run_name(request),
                parameters,
                Pending(message=claim),
                tags=run_tags(request, tags),
                labels=run_labels(request, tags),
            )
        context = self.execution.context(flow_run, slot)
        context.asked_at = asked_at
        with bound(sink) if sink else contextlib.nullcontext():
            task = asyncio.create_task(self.execution.execute(flow_run, context, request))
        run = InlineRun(context, task)
        self._inline.add(run)
        task.add_done_callback(lambda _: self._inline.discard(run))
        return run


def _provider(settings: AgentSettings, on_trouble: Callable[[ProviderFailure], None]) -> ProviderProxy | None:
    """The way to the model; None without a credential, and then each run says which to set."""
    try:
        return ProviderProxy(settings, on_trouble=on_trouble)
    except NotConfigured as error:
        _log.warning("%s", error)
        return None
