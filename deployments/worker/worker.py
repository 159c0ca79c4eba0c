"""Takes jobs and scheduled runs from a work pool, and runs them in this process."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from anyio.abc import TaskStatus
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterNextScheduledStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import Abort
from prefect.states import Pending
from prefect.utilities.engine import propose_state
from prefect.utilities.services import critical_service_loop
from prefect.workers.base import BaseJobConfiguration, BaseWorker, BaseWorkerResult

from deployments.prefect_client.calls import calling_prefect
from deployments.worker.failing_schedules import tell_failing_schedule
from deployments.worker.missed_runs import MissedRuns
from deployments.worker.run_handlers import RunHandler

_log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 30.0
_SCHEDULED = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
_ROLL_CALL_SECONDS = 20.0
"""Prefect shows queues and deployments as not ready that no worker has asked for their runs in a minute."""

_FRESH_SECONDS = 0.2
_PAUSE_SECONDS = 1.0
_ENDING_SECONDS = 60.0


class AgentHostResult(BaseWorkerResult):
    """What a run in this process comes to for the worker: its state is the flow's own."""


class AgentHostWorker(BaseWorker[BaseJobConfiguration, Any, AgentHostResult]):
    """A Prefect worker without processes of its own: a run starts as soon as the host has a seat for it.

    It runs one flow of the installed package, and nothing else: a run of another flow ends as Crashed.
    """

    type = "agent-host"
    _description = "Runs Claude agents in slots of a Claude Agent Service host."

    def __init__(self, work: RunHandler[Any], **options: Any) -> None:
        # Prefetching would start a run before its time.
        # The name is the host's own after each start: Prefect shows one worker a host, not one a start.
        name = f"{socket.gethostname()} {work.host.in_flight.host_id}"
        super().__init__(work.pool, **{"name": name, "prefetch_seconds": 0, **options})
        self._work = work
        self._settings = work.host.settings
        self._nudged = asyncio.Event()
        self._runs: dict[UUID, asyncio.Task[Any]] = {}
        self._roll_call = 0.0
        self._own_flow_id: UUID | None = None

    @asynccontextmanager
    async def working(self, hurry: asyncio.Event) -> AsyncIterator[None]:
        """While this is open runs are taken; at the end those at work may finish, unless `hurry` is set."""
        self._work.expect(self._nudged.set)
        async with self:
            heartbeat = asyncio.create_task(self._keep_in_touch())
            for flow_run, seat in self._work.carried():
                self._start(flow_run, seat)
            taking = asyncio.create_task(self._take_runs())
            try:
                yield
            finally:
                await _stopped(taking)
                await self._finish_runs(hurry)
                await _stopped(heartbeat)

    async def _keep_in_touch(self) -> None:
        interval = self.heartbeat_interval_seconds
        await critical_service_loop(self._sync_and_initialize, interval=interval, jitter_range=0.3, backoff=4)

    async def _take_runs(self) -> None:
        """Give each due run a seat, in the order that Prefect hands them out; the pool's own rules are Prefect's."""
        while True:
            self._nudged.clear()
            try:
                if await self._take_one():
                    continue
            except Exception as error:
                _log.warning("cannot take runs from the work pool %s: %s", self._work.pool, error)
                await asyncio.sleep(_PAUSE_SECONDS)
            await self._nudge_or_poll()

    async def _take_one(self) -> bool:
        """Start one due run, waiting for a seat if need be; False when none is due."""
        if self._work.is_held or not await self._may_be_due() or not (due := await self._due_runs()):
            return False
        asked = time.monotonic()
        seat = await self._work.take()
        try:
            if time.monotonic() - asked > _FRESH_SECONDS:
                due = await self._due_runs()
            claimed = None if self._work.is_held else await self._claim(due)
        except BaseException:
            self._work.give_back(seat)
            raise
        if claimed is None:
            self._work.give_back(seat)
            return False
        self._start(claimed, seat)
        return True

    async def _nudge_or_poll(self) -> None:
        try:
            async with asyncio.timeout(self._settings.queue_poll_seconds):
                await self._nudged.wait()
        except TimeoutError:
            return

    async def _may_be_due(self) -> bool:
        """False only if no run is due: a question that costs Prefect a quarter of the one for the runs."""
        if time.monotonic() > self._roll_call:
            return True
        started_by = FlowRunFilterNextScheduledStartTime(before_=datetime.now(UTC))
        async with calling_prefect(_PATIENCE_SECONDS):
            return bool(
                await self.client.count_flow_runs(
                    flow_run_filter=FlowRunFilter(state=_SCHEDULED, next_scheduled_start_time=started_by),
                    work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[self._work.pool])),
                )
            )

    async def _due_runs(self) -> list[FlowRun]:
        """The runs that are due, without those that a schedule has made up for since."""
        async with calling_prefect(_PATIENCE_SECONDS):
            due = [entry.flow_run for entry in await self._get_scheduled_flow_runs()]
        self._roll_call = time.monotonic() + _ROLL_CALL_SECONDS
        return await MissedRuns(self.client, self._settings).leave_out(due)

    async def _claim(self, due: Sequence[FlowRun]) -> FlowRun | None:
        """The first of them that Prefect lets us have: another host may be quicker, the pool may be full."""
        for flow_run in due:
            async with calling_prefect(_PATIENCE_SECONDS):
                if await self._propose_pending_state(flow_run):
                    return flow_run
        return None

    def _start(self, flow_run: FlowRun, seat: Any) -> None:
        task = asyncio.create_task(self._run_in(seat, flow_run), name=f"run {flow_run.id}")
        self._runs[flow_run.id] = task
        task.add_done_callback(lambda _: self._runs.pop(flow_run.id, None))
        task.add_done_callback(lambda _: self._nudged.set())

    async def _run_in(self, seat: Any, flow_run: FlowRun) -> None:
        try:
            if flow_run.flow_id != await self._flow_id():
                self._work.give_back(seat)
                reason = f"this host runs the flow {self._work.flow_name} from this pool, and no other"
                await self._propose_crashed_state(flow_run, reason)
                return
        except BaseException:
            self._work.give_back(seat)
            raise
        await self._work.execute(flow_run, seat)
        await tell_failing_schedule(self.client, flow_run)

    async def _flow_id(self) -> UUID:
        if self._own_flow_id is None:
            async with calling_prefect(_PATIENCE_SECONDS):
                self._own_flow_id = (await self.client.read_flow_by_name(self._work.flow_name)).id
        return self._own_flow_id

    async def _finish_runs(self, hurry: asyncio.Event) -> None:
        """Let the runs at work end by themselves for as long as the settings say, then end them."""
        tasks = set(self._runs.values())
        if tasks:
            self._work.break_off()
            _log.info("waiting for %d runs of %s to finish", len(tasks), self._work.flow_name)
            hurried = asyncio.create_task(hurry.wait())
            finished = asyncio.gather(*tasks, return_exceptions=True)
            timeout = 0 if self._work.ends_with_its_host else self._settings.drain_seconds
            either: set[asyncio.Future[Any]] = {hurried, finished}
            await asyncio.wait(either, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            hurried.cancel()
            for run_id, task in list(self._runs.items()):
                if not self._work.cancel(run_id):
                    task.cancel()
            await asyncio.wait(tasks, timeout=_ENDING_SECONDS)
            for task in tasks:
                task.cancel()
            await asyncio.gather(hurried, *tasks, return_exceptions=True)

    async def _cancel_run(self, flow_run_id: UUID) -> None:
        """Prefect's observer saw that somebody cancels a run: end it if it is at work here."""
        task = self._runs.get(flow_run_id)
        if task is not None and not self._work.cancel(flow_run_id) and self._work.ends_with_its_host:
            task.cancel()

    async def _propose_pending_state(self, flow_run: FlowRun) -> bool:
        """Take the run, and leave word of who did: a claim that its host does not live to keep can be settled."""
        claim: State[Any] = Pending(message=self._work.host.in_flight.claim)
        try:
            state: State[Any] = await propose_state(self.client, claim, flow_run_id=flow_run.id)
        except Abort as error:
            _log.debug("run %s is not for us: %s", flow_run.id, error)
            return False
        return state.is_pending()

    async def run(
        self,
        flow_run: FlowRun,
        configuration: BaseJobConfiguration,
        task_status: TaskStatus[int] | None = None,
    ) -> AgentHostResult:
        """Prefect's own way to hand a run to a worker; ours does not pass here, it starts runs by seat."""
        if task_status is not None:
            task_status.started(0)
        await self._run_in(await self._work.take(), flow_run)
        return AgentHostResult(status_code=0, identifier=str(flow_run.id))


async def _stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
