"""A Prefect worker that runs flows in this process."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from anyio.abc import TaskStatus
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import Abort, PrefectSignal
from prefect.states import Pending
from prefect.utilities.engine import propose_state
from prefect.workers.base import BaseJobConfiguration, BaseWorker, BaseWorkerResult

from deployments.host.slot_use import SlotUse
from deployments.prefect_client.calls import BACKGROUND_SECONDS, calling_prefect
from deployments.prefect_client.flow_runs import count_due, find_flow_id
from deployments.prefect_client.foreign_answers import distrust_async
from deployments.worker.failing_schedules import report_failing_schedule
from deployments.worker.missed_runs import MissedRuns
from deployments.worker.run_handlers import RunHandler

_log = logging.getLogger(__name__)

_SHOW_SECONDS = 20.0
"""Prefect shows queues and deployments as not ready when no worker has asked for their runs in a minute."""

_FRESH_SECONDS = 0.2
"""After a longer wait for a slot the due runs are read again: one of a higher priority may have come."""

_RETRY_SECONDS = 1.0
"""Pause after a failed look at the pool: short, for a run may wait; a dead Prefect costs one call a second."""

_ENDING_SECONDS = 60.0
"""At the end of the host a cancelled run has so long to end; then its asyncio task is cancelled."""


class AgentHostResult(BaseWorkerResult):
    """The result that Prefect's base class asks for. It says nothing: the run's state is set by its flow."""


class AgentHostWorker(BaseWorker[BaseJobConfiguration, Any, AgentHostResult]):
    """A Prefect worker of one pool that starts a run in this process as soon as the host has a slot for it.

    It runs one flow of the installed package; a run of another flow ends as Crashed.
    """

    type = "agent-host"
    _description = "Runs Claude agents in slots of a Claude Agent Service host."

    def __init__(self, handler: RunHandler[Any], **options: Any) -> None:
        host = handler.host
        # the same name after each start, so that Prefect shows one worker a host
        name = f"{socket.gethostname()} {host.records.host_id}"
        # prefetching would start a run before its time
        super().__init__(handler.pool, **{"name": name, "prefetch_seconds": 0, **options})
        self._handler = handler
        self._settings = host.settings
        self._claim_message = host.records.claim
        self._queued = handler.queued
        self._runs: dict[UUID, asyncio.Task[Any]] = {}
        self._show_at = 0.0
        self._own_flow_id: UUID | None = None
        self._heartbeat = host.watches.add(
            f"{handler.pool}_heartbeat", self._sync_and_initialize, self._heartbeat_pause
        )

    @asynccontextmanager
    async def working(self, hurry: asyncio.Event) -> AsyncIterator[None]:
        """While this is open runs are taken; at its end the running ones may finish, unless `hurry` is set."""
        async with self:
            distrust_async(self.client)
            for flow_run, slot in self._handler.resumed():
                self._start(flow_run, slot)
            taking = asyncio.create_task(self._take_runs())
            async with self._heartbeat.repeating():
                try:
                    yield
                finally:
                    await _stopped(taking)
                    await self._finish_runs(hurry)

    def _heartbeat_pause(self) -> float:
        # hosts that were started together do not ask together
        return float(self.heartbeat_interval_seconds) * random.uniform(0.7, 1.3)

    async def _take_runs(self) -> None:
        """Give each due run a slot, in Prefect's order; Prefect applies the limits of the pool and its queues."""
        while True:
            self._queued.clear()
            try:
                if await self._take_one():
                    continue
            except (Exception, PrefectSignal) as error:
                _log.warning("cannot take runs from the work pool %s: %s", self._handler.pool, error)
                await asyncio.sleep(_RETRY_SECONDS)
            await self._wait_for_runs()

    async def _take_one(self) -> bool:
        """Start one due run, once there is a slot; False when no run is due."""
        if self._handler.is_held or not await self._may_be_due() or not (due := await self._due_runs()):
            return False
        asked_at = time.monotonic()
        slot = await self._handler.acquire()
        try:
            if time.monotonic() - asked_at > _FRESH_SECONDS:
                due = await self._due_runs()
            claimed = None if self._handler.is_held else await self._claim(due)
            if claimed is None:
                slot.close()
                return False
            self._start(claimed, slot)
        except BaseException:
            slot.close()
            raise
        return True

    async def _wait_for_runs(self) -> None:
        """Return when this host has queued a run, a run has ended, or it is time to poll for other runs."""
        try:
            async with asyncio.timeout(self._settings.queue_poll_seconds):
                await self._queued.wait()
        except TimeoutError:
            return

    async def _may_be_due(self) -> bool:
        """False if no run is due; asking for the number costs Prefect a quarter of asking for the runs."""
        if time.monotonic() > self._show_at:
            return True
        return await count_due(self.client, self._handler.pool, BACKGROUND_SECONDS) > 0

    async def _due_runs(self) -> list[FlowRun]:
        """Return the due runs, without those that a later run of their schedule replaces."""
        async with calling_prefect(BACKGROUND_SECONDS):
            due = [entry.flow_run for entry in await self._get_scheduled_flow_runs()]
        self._show_at = time.monotonic() + _SHOW_SECONDS
        return await MissedRuns(self.client, self._settings).skip_missed(due)

    async def _claim(self, due: Sequence[FlowRun]) -> FlowRun | None:
        """Take the first of them that Prefect gives to this host: another may be faster, the pool may be full."""
        for flow_run in due:
            async with calling_prefect(BACKGROUND_SECONDS):
                if await self._propose_pending_state(flow_run):
                    return flow_run
        return None

    def _start(self, flow_run: FlowRun, slot: SlotUse[Any]) -> None:
        task = asyncio.create_task(self._run(flow_run, slot), name=f"run {flow_run.id}")
        slot.close_with(task)
        self._runs[flow_run.id] = task
        task.add_done_callback(lambda _: self._runs.pop(flow_run.id, None))
        task.add_done_callback(_log_failure)
        task.add_done_callback(lambda _: self._queued.set())

    async def _run(self, flow_run: FlowRun, slot: SlotUse[Any]) -> None:
        if not await self._is_own_flow(flow_run.flow_id):
            slot.close()
            reason = f"this host runs only the flow {self._handler.flow_name} from this pool"
            await self._propose_crashed_state(flow_run, reason)
            return
        await self._handler.execute(flow_run, slot)
        await report_failing_schedule(self.client, flow_run)

    async def _is_own_flow(self, flow_id: UUID) -> bool:
        if flow_id != self._own_flow_id:  # looked up again: it may have been deleted in Prefect and applied anew
            async with calling_prefect(BACKGROUND_SECONDS):
                self._own_flow_id = await find_flow_id(self.client, self._handler.flow_name)
        return flow_id == self._own_flow_id

    async def _finish_runs(self, hurry: asyncio.Event) -> None:
        """Let the running runs end by themselves within DRAIN_SECONDS, then cancel them."""
        tasks = set(self._runs.values())
        if tasks:
            self._handler.suspend_all()
            _log.info("waiting for %d runs of %s to finish", len(tasks), self._handler.flow_name)
            hurried = asyncio.create_task(hurry.wait())
            finished = asyncio.gather(*tasks, return_exceptions=True)
            timeout = 0 if self._handler.ends_with_its_host else self._settings.drain_seconds
            either: set[asyncio.Future[Any]] = {hurried, finished}
            await asyncio.wait(either, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            hurried.cancel()
            for run_id, task in list(self._runs.items()):
                if not self._handler.cancel(run_id):
                    task.cancel()
            await asyncio.wait(tasks, timeout=_ENDING_SECONDS)
            for task in tasks:
                task.cancel()
            await asyncio.gather(hurried, *tasks, return_exceptions=True)

    async def _cancel_run(self, flow_run_id: UUID) -> None:
        """Cancel the run if it runs here; called by Prefect's observer of cancellations."""
        task = self._runs.get(flow_run_id)
        if task is not None and not self._handler.cancel(flow_run_id) and self._handler.ends_with_its_host:
            task.cancel()

    async def _propose_pending_state(self, flow_run: FlowRun) -> bool:
        """Take the run, with the claim of this host as message: if the host dies now, the run can be settled."""
        claim: State[Any] = Pending(message=self._claim_message)
        try:
            state: State[Any] = await propose_state(self.client, claim, flow_run_id=flow_run.id)
        except Abort as error:
            _log.debug("run %s cannot be taken: %s", flow_run.id, error)
            return False
        return state.is_pending()

    async def run(
        self,
        flow_run: FlowRun,
        configuration: BaseJobConfiguration,
        task_status: TaskStatus[int] | None = None,
    ) -> AgentHostResult:
        """Execute a run that Prefect's base class hands over; this worker itself calls `_start`."""
        if task_status is not None:
            task_status.started(0)
        slot = await self._handler.acquire()
        try:
            await self._run(flow_run, slot)
        finally:
            slot.close()
        return AgentHostResult(status_code=0, identifier=str(flow_run.id))


def _log_failure(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        # what it left in Prefect is settled by this host's Settlement
        _log.error("%s ended with an error of its host: %r", task.get_name(), error)


async def _stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
