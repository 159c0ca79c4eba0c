"""Carries runs out in this host's slots, from the slot to the last word of their journals."""

from __future__ import annotations

from typing import Any, Protocol, cast
from uuid import UUID

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import Abort
from prefect.flow_engine import run_flow_async
from prefect.states import Cancelled

from agent.domain.checkout import Resumption
from agent.domain.request import AgentRequest
from agent.domain.result import Outcome
from agent.pool.slots import Slot
from agent.runtime import Runtime
from agent.system.concurrency import run_to_completion
from deployments.holds.provider_hold import ProviderHold
from deployments.host.cancellation import CancellationListener
from deployments.host.run_metadata import is_to_resume, read_request
from deployments.host.run_records import RunRecord, RunRecords
from deployments.telemetry.observers import Observer, watched
from flows.agent_run import agent_run
from store.store import Store
from tasks.agent_run.context import RunContext, running
from tasks.agent_run.early_start import EarlyStart
from tasks.agent_run.outcome import CANCELLED, end_journal

# Prefect types an async flow by its coroutine, and its engine by what that gives.
_FLOW = cast("Flow[[AgentRequest], Any]", agent_run)


class Parts(Protocol):
    """What of a host carries runs out."""

    runtime: Runtime
    store: Store
    hold: ProviderHold
    in_flight: RunRecords
    observers: list[Observer]
    resumptions: dict[UUID, Resumption]

    @property
    def cancelling(self) -> CancellationListener:
        """The way for a cancellation to the runs of this host."""


class Execution:
    """The runs that are at work here."""

    def __init__(self, host: Parts) -> None:
        self._host = host
        self._at_work: list[RunContext] = []

    def context(self, flow_run: FlowRun, slot: Slot) -> RunContext:
        """What the tasks of `flow_run` work with in `slot`."""
        resumption = self._host.resumptions.pop(flow_run.id, None)
        if flow_run.deployment_id is not None and resumption is None:  # it was given a slot before it was known
            slot = self._better_slot(flow_run, slot)
        context = RunContext(run_id=flow_run.id, runtime=self._host.runtime, store=self._host.store, slot=slot)
        context.resumption = resumption
        if flow_run.deployment_id is not None:  # nobody waits for it: it can be put off
            context.held_until = lambda: self._host.hold.until
            context.can_part = is_to_resume(flow_run)
        return context

    def _better_slot(self, flow_run: FlowRun, slot: Slot) -> Slot:
        request = read_request(flow_run)
        return (
            slot
            if request is None
            else self._host.runtime.slots.exchange(slot, self._host.runtime.warm.preference(request))
        )

    def _note_whereabouts(self, flow_run: FlowRun, context: RunContext) -> None:
        if not context.can_part or context.resumption is not None:  # whoever has it carried on has noted it
            return
        where = RunRecord(slot=context.slot.index, run_count=flow_run.run_count + 1)
        self._host.in_flight.write(flow_run.id, where)
        context.note_checkout = lambda checkout: self._host.in_flight.write(
            flow_run.id, where.model_copy(update={"checkout": checkout})
        )

    def part(self) -> None:
        """The host stops: what can be carried on when it is back is left as it is, agents ended."""
        for context in self._at_work:
            context.part()

    def _give_head_start(self, flow_run: FlowRun, context: RunContext, whole: AgentRequest | None) -> None:
        """Begin with what the machine has to do for the run, beside what Prefect has to."""
        if context.resumption is not None or context.cancellation.asked:
            return
        asked = whole or read_request(flow_run)
        if asked is None:
            return
        request = whole or (asked if asked.input_id is None else None)
        is_kept = (lambda: context.is_parting) if context.can_part else None
        context.head_start = EarlyStart(self._host.runtime, context.slot, str(flow_run.id), asked, request, is_kept)

    async def execute(self, flow_run: FlowRun, context: RunContext, whole: AgentRequest | None = None) -> State[Any]:
        """Run `agent_run` to its end here, and give the slot back; a cancellation ends it as Cancelled.

        `whole` is the request as it was made, where it is at hand.
        """
        with (
            watched(self._host.observers, flow_run, context),
            self._host.in_flight.noted(flow_run.id, lambda: context.is_parting),
            self._host.cancelling.heard(flow_run.id, context.cancel),
        ):
            self._note_whereabouts(flow_run, context)
            self._at_work.append(context)
            self._give_head_start(flow_run, context, whole)
            try:
                with running(context):
                    state = await run_flow_async(
                        _FLOW, flow_run=flow_run, parameters=flow_run.parameters, return_type="state"
                    )
            except Abort as error:  # Prefect does not let it run any more: somebody gave it an end, or deleted it
                return Cancelled(message=f"ended in Prefect: {error}")
            finally:
                await run_to_completion(context.leave_slot())
                self._at_work.remove(context)
                self._host.runtime.slots.give_back(context.slot)
            assert isinstance(state, State)
            if context.ended is None and not state.is_scheduled():
                end_journal(context, Outcome(error=state.message or CANCELLED))
            if state.is_cancelling():
                await self._host.cancelling.finish(flow_run.id, state.message)
            return state
