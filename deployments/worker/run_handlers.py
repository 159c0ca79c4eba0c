"""Kinds of runs for a worker: pool, slots, execution, cancellation, suspension; and the kind for agent runs."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import ClassVar, Generic
from uuid import UUID

from prefect.client.schemas.objects import FlowRun

from agent.pool.slots import Slot
from deployments.host.host import Host
from deployments.host.run_metadata import RunMetadata, read_request, with_metadata
from deployments.host.slot_use import SlotT, SlotUse
from deployments.pools import AGENTS
from deployments.worker.resumption import Resumptions


class RunHandler(ABC, Generic[SlotT]):
    """One kind of run, for a worker: its pool, its slots, its execution. One per kind and host."""

    pool: ClassVar[str]
    flow_name: ClassVar[str]
    ends_with_its_host: ClassVar[bool] = False
    """True if a run is stopped when the host stops, for another host to take it over."""

    def __init__(self, host: Host, queued: asyncio.Event) -> None:
        self.host = host
        self.queued = queued
        """Set when this host has queued a run of this kind."""

    @property
    def is_held(self) -> bool:
        """True if no run is to be taken for now."""
        holds = self.host.holds
        # Prefect hands nothing out of a paused pool, but what it handed out a moment before must not start
        return holds.disk.is_low or self.pool in holds.pause.paused

    @abstractmethod
    async def acquire(self) -> SlotUse[SlotT]:
        """Return a slot, as soon as one is free."""

    @abstractmethod
    async def execute(self, flow_run: FlowRun, slot: SlotUse[SlotT]) -> None:
        """Execute the run to its end; its slot may be closed earlier."""

    def resumed(self) -> list[tuple[FlowRun, SlotUse[SlotT]]]:
        """Return the runs that an earlier host process began and that go on here, each with its slot; once."""
        return []

    def cancel(self, run_id: UUID) -> bool:
        """Cancel the run; False if it does not run here."""
        return self.host.cancellations.cancel_local(run_id)

    @abstractmethod
    def suspend_all(self) -> None:
        """Suspend what can be resumed, because the host stops; a cancellation after this is not the operator's."""


class AgentRunHandler(RunHandler[Slot]):
    """Agent runs, each in a slot of the host."""

    pool = AGENTS
    flow_name = "agent_run"

    def __init__(self, host: Host, resumptions: Resumptions) -> None:
        super().__init__(host, host.agents_queued)
        self._resumptions = resumptions

    @property
    def is_held(self) -> bool:
        """True if all agents are paused, the provider rejects all calls, or disk space is low."""
        return self.host.holds.provider.until is not None or super().is_held

    async def acquire(self) -> SlotUse[Slot]:
        """Return a slot of the host."""
        slots = self.host.runtime.slots
        return SlotUse(await slots.acquire(), slots.release)

    def resumed(self) -> list[tuple[FlowRun, SlotUse[Slot]]]:
        """Return the runs that are resumed in the slots that hold their files."""
        return self._resumptions.take_slots()

    def suspend_all(self) -> None:
        """Suspend the agents that can be resumed; the others may finish."""
        self.host.execution.suspend_all()

    async def execute(self, flow_run: FlowRun, slot: SlotUse[Slot]) -> None:
        """Execute the agent run to its end."""
        request = read_request(flow_run)
        metadata = RunMetadata.of(request) if request is not None else None
        async with with_metadata(self.host.prefect, flow_run, metadata):
            execution, resumption = self.host.execution, self._resumptions.take(flow_run.id)
            await execution.execute(execution.prepare(flow_run, slot, resumption=resumption))
