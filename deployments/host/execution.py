"""Executes a flow run in a slot, from claim to final state."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import Abort
from prefect.flow_engine import run_flow_async
from prefect.states import Cancelled

from agent.domain.checkout import Checkout, Resumption
from agent.domain.request import AgentRequest
from agent.domain.result import Outcome, Refusal
from agent.pool.slots import Slot
from agent.runtime import Runtime
from agent.system.concurrency import run_to_completion
from deployments.holds.provider_hold import ProviderHold
from deployments.holds.retry_time import retry_time
from deployments.host.cancellation import CancellationListener
from deployments.host.run_metadata import is_to_resume, observed_run, read_request
from deployments.host.run_records import RunRecord, RunRecords
from deployments.host.slot_use import SlotUse
from deployments.telemetry.observers import ObservedRun, Observer, RunObservation
from flows.agent_run import agent_run
from store.store import Store
from tasks.agent_run.context import RunContext, running
from tasks.agent_run.outcome import CANCELLED, end_journal

_log = logging.getLogger(__name__)

# Prefect types an async flow by its coroutine, and its engine by what that gives
_FLOW = cast("Flow[[AgentRequest], Any]", agent_run)


@dataclass(frozen=True)
class PreparedRun:
    """A flow run with its slot and its context; made by `Execution.prepare`, for `Execution.execute`."""

    flow_run: FlowRun
    slot: SlotUse[Slot]
    context: RunContext
    observation: RunObservation
    observed: ObservedRun
    request: AgentRequest | None
    """The whole request; None where only its stored form is at hand."""


class Execution:
    """Executes the agent runs of one host; made with it."""

    def __init__(
        self,
        runtime: Runtime,
        store: Store,
        hold: ProviderHold,
        records: RunRecords,
        cancellations: CancellationListener,
        observers: Sequence[Observer],
    ) -> None:
        self._runtime = runtime
        self._store = store
        self._hold = hold
        self._records = records
        self._cancellations = cancellations
        self._observers = observers
        self._running: list[RunContext] = []

    def prepare(
        self,
        flow_run: FlowRun,
        slot: SlotUse[Slot],
        *,
        request: AgentRequest | None = None,
        resumption: Resumption | None = None,
        asked_at: datetime | None = None,
    ) -> PreparedRun:
        """Make the context of a run in `slot`, or in a free slot that suits it better.

        `asked_at` is when a caller that waits asked for the run.
        """
        is_job = flow_run.deployment_id is not None
        if is_job and resumption is None:  # the slot was acquired before the run was known
            self._swap(flow_run, slot)
        observation = RunObservation(self._observers)
        can_suspend = is_job and is_to_resume(flow_run)
        context = RunContext(
            run_id=flow_run.id,
            runtime=self._runtime,
            store=self._store,
            slot=slot.slot,
            resumption=resumption,
            can_suspend=can_suspend,
            on_checkout=partial(self._record, flow_run, slot.slot) if can_suspend else _ignore_checkout,
            retry_at=partial(self._retry_at, flow_run.run_count) if is_job else _never,
            step=observation.step,
        )
        return PreparedRun(flow_run, slot, context, observation, observed_run(flow_run, context, asked_at), request)

    def suspend_all(self) -> None:
        """Suspend the runs that can be resumed, because the host stops."""
        for context in self._running:
            context.suspend()

    async def execute(self, run: PreparedRun) -> State[Any]:
        """Run `agent_run` to its end and release the slot; a cancellation ends it as Cancelled."""
        flow_run, context = run.flow_run, run.context
        with (
            run.observation.opened(run.observed),
            self._records.recorded(flow_run.id, lambda: context.is_suspending),
            self._cancellations.listening(flow_run, agent_run.name, context.cancel),
        ):
            self._running.append(context)
            try:
                if context.can_suspend and context.resumption is None:  # a resumed run has its record already
                    self._record(flow_run, context.slot, None)
                self._start_early(run)
                with running(context):
                    state = await run_flow_async(
                        _FLOW, flow_run=flow_run, parameters=flow_run.parameters, return_type="state"
                    )
            except Abort as error:  # it has a final state in Prefect already, or was deleted there
                _log.warning("run %s ended in Prefect while it ran here: %s", flow_run.id, error)
                if context.ended is None:
                    end_journal(context, Outcome(error=str(error)))
                return Cancelled(message=f"ended in Prefect: {error}")
            finally:
                try:
                    await run_to_completion(context.leave_slot())
                finally:
                    self._running.remove(context)
                    # the next run need not wait for this one's last calls to Prefect
                    run.slot.close()
            assert isinstance(state, State)
            if context.ended is None and not state.is_scheduled():
                end_journal(context, Outcome(error=state.message or CANCELLED))
            if context.is_cancelled:
                _log.info("run %s is cancelled%s", flow_run.id, _because(context.cancellation.reason))
            if state.is_cancelling():
                await self._cancellations.finish(flow_run.id, state.message)
            return state

    def _swap(self, flow_run: FlowRun, slot: SlotUse[Slot]) -> None:
        request = read_request(flow_run)
        if request is not None:
            prefer = self._runtime.warm.preference(request)
            slot.swap(lambda held: self._runtime.slots.swap(held, prefer))

    def _start_early(self, run: PreparedRun) -> None:
        asked = run.request or read_request(run.flow_run)
        if asked is not None and run.context.resumption is None and not run.context.cancellation.asked:
            run.context.start_early(asked, run.request or (asked if asked.input_id is None else None))

    def _record(self, flow_run: FlowRun, slot: Slot, checkout: Checkout | None) -> None:
        record = RunRecord(slot=slot.index, checkout=checkout, run_count=flow_run.run_count + 1)
        self._records.write(flow_run.id, record)

    def _retry_at(self, attempts: int, refusal: Refusal | None) -> datetime | None:
        return retry_time(refusal, self._hold.until, attempts, datetime.now(UTC))


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


def _never(refusal: Refusal | None) -> datetime | None:
    return None


def _ignore_checkout(checkout: Checkout) -> None:
    """Record nothing: the run cannot be resumed."""
