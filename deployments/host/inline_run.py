"""A run in this process for a caller that waits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import State

from agent.claude.turn import Content
from agent.domain.errors import AgentBusy
from agent.domain.events import Sink, bound
from agent.domain.request import AgentRequest
from agent.domain.result import Outcome
from agent.pool.slots import Slot
from agent.runtime import Runtime
from deployments.holds.holds import Holds
from deployments.host.execution import Execution, PreparedRun
from deployments.host.job_queue import JobQueue
from deployments.host.slot_use import SlotUse
from deployments.telemetry.queue_metrics import QueueMetrics
from tasks.agent_run.context import RunContext

_ENDING_SECONDS = 15.0
"""A cancelled run has so long to end its agent; then its asyncio task is cancelled."""

_BOOKKEEPING_SECONDS = 15.0
"""At the end of the host a run whose caller has its answer has so long to store and publish it."""


class InlineRun:
    """A flow run in this process; made by InlineRuns. `outcome` comes before the run's bookkeeping is done."""

    def __init__(self, context: RunContext, task: asyncio.Task[State[Any]]) -> None:
        self.run_id: UUID = context.run_id
        self._outcome = context.outcome
        self._cancellation = context.cancellation
        self._task = task

    async def outcome(self) -> Outcome:
        """Return the outcome as soon as it is known."""
        either: set[asyncio.Future[Any]] = {self._outcome, self._task}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if self._outcome.done():
            return self._outcome.result()
        if self._task.cancelled():
            return Outcome(error="the service is stopping")
        state = self._task.result()
        return Outcome(error=state.message or f"the run ended as {state.name} without an answer")

    def cancel(self, reason: str = "") -> None:
        """Cancel the run; `reason` is for the log."""
        self._cancellation.ask(reason)

    def cancel_unless_answered(self) -> None:
        """Cancel the run of a caller that has gone; one whose outcome is known finishes by itself."""
        if not self._outcome.done():
            self.cancel("its caller has hung up")

    async def end(self, grace_seconds: float = _BOOKKEEPING_SECONDS) -> None:
        """Return once nothing of the run is left: it may finish for `grace_seconds`, then it is cancelled."""
        await asyncio.wait({self._task}, timeout=grace_seconds)
        self.cancel()
        await asyncio.wait({self._task}, timeout=_ENDING_SECONDS)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class InlineRuns:
    """The runs of callers that wait for their answer at this host; one per host."""

    def __init__(
        self,
        runtime: Runtime,
        execution: Execution,
        queue: JobQueue,
        holds: Holds,
        metrics: QueueMetrics,
        *,
        claim: str,
        max_waiting: int,
    ) -> None:
        self._runtime = runtime
        self._execution = execution
        self._queue = queue
        self._holds = holds
        self._metrics = metrics
        self._claim = claim
        self._max_waiting = max_waiting
        self._runs: set[InlineRun] = set()

    @asynccontextmanager
    async def start(
        self,
        request: AgentRequest,
        *,
        tags: Sequence[str],
        wait_seconds: float,
        content: Content | None = None,
        sink: Sink | None = None,
    ) -> AsyncIterator[InlineRun]:
        """Run the request once it has a slot; a caller that leaves before the outcome cancels the run.

        Raises AgentBusy when no slot came free within `wait_seconds`, or too many callers wait already; AgentPaused,
        DiskFull, RequestRefused, PrefectUnavailable, StoreUnavailable.
        """
        asked_at = datetime.now(UTC)
        self._runtime.check_limits(request)
        self._holds.refuse_waiting_caller()
        with self._metrics.waiting_caller():
            slot = await self._acquire(request, wait_seconds)
        try:
            self._holds.refuse_waiting_caller()  # an operator may have paused all agents while this caller waited
            flow_run = await self._queue.create_claimed(request, content, tags, self._claim)
            run = self._start(self._execution.prepare(flow_run, slot, request=request, asked_at=asked_at), sink)
        except BaseException:
            slot.close()
            raise
        try:
            yield run
        finally:
            run.cancel_unless_answered()

    async def close(self) -> None:
        """End all runs. Their callers have their answers: what is left is to store and to publish them."""
        await asyncio.gather(*(run.end() for run in self._runs))

    async def _acquire(self, request: AgentRequest, wait_seconds: float) -> SlotUse[Slot]:
        slots = self._runtime.slots
        if slots.free == 0 and slots.waiting >= self._max_waiting:
            raise AgentBusy
        slot = await slots.acquire(wait_seconds, self._runtime.warm.preference(request))
        return SlotUse(slot, slots.release)

    def _start(self, prepared: PreparedRun, sink: Sink | None) -> InlineRun:
        with bound(sink) if sink else contextlib.nullcontext():
            task = asyncio.create_task(self._execution.execute(prepared))
        prepared.slot.close_with(task)
        run = InlineRun(prepared.context, task)
        self._runs.add(run)
        task.add_done_callback(lambda _: self._runs.discard(run))
        return run
