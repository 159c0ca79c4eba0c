"""Kinds of work: the pool that each waits in, how much of it there may be at once, how it is carried out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar
from uuid import UUID

from prefect.client.schemas.objects import FlowRun

from agent.pool.slots import Slot
from deployments.host.host import Host
from deployments.host.run_metadata import RunMetadata, marked, read_request
from deployments.pools import WORK_POOL

Seat = TypeVar("Seat")


class RunHandler(ABC, Generic[Seat]):
    """One kind of run, as a worker needs to know it; a seat is what a run has to have before it is taken."""

    pool: str
    flow_name: str
    ends_with_its_host: bool = False
    """A run of it is broken off when the host stops, to be carried on by whoever takes it next."""

    def __init__(self, host: Host) -> None:
        self.host = host

    @property
    def is_held(self) -> bool:
        """No run of it is to be taken for now, e.g. because there is no room on the disk."""
        return self.host.disk.is_low

    @abstractmethod
    async def take(self) -> Seat:
        """A seat, as soon as there is one."""

    @abstractmethod
    def give_back(self, seat: Seat) -> None:
        """The seat is free again."""

    @abstractmethod
    async def execute(self, flow_run: FlowRun, seat: Seat) -> None:
        """Run it to its end, and give the seat back."""

    @abstractmethod
    def expect(self, nudge: Callable[[], None]) -> None:
        """`nudge` is to be called when this host has queued a run of this kind."""

    def carried(self) -> list[tuple[FlowRun, Seat]]:
        """Runs that an earlier host has begun and that go on here, each with its seat; asked once."""
        return []

    def cancel(self, run_id: UUID) -> bool:
        """End the run in its own way; False if it is not at work here, or has no way but to be broken off."""
        return False

    def break_off(self) -> None:
        """The host stops: runs that are cancelled from now on are not cancelled by anybody's wish."""


class AgentRunHandler(RunHandler[Slot]):
    """Agents, each in a slot."""

    pool = WORK_POOL
    flow_name = "agent_run"

    @property
    def is_held(self) -> bool:
        """The provider refuses everybody, or there is no room."""
        return self.host.hold.until is not None or super().is_held

    async def take(self) -> Slot:
        """A slot of the host."""
        return await self.host.runtime.slots.take()

    def give_back(self, seat: Slot) -> None:
        """The slot is free again."""
        self.host.runtime.slots.give_back(seat)

    def carried(self) -> list[tuple[FlowRun, Slot]]:
        """Agents that go on where they were."""
        carried, self.host.carried = self.host.carried, []
        return carried

    def break_off(self) -> None:
        """Agents that can be carried on are not waited for."""
        self.host.execution.part()

    async def execute(self, flow_run: FlowRun, seat: Slot) -> None:
        """Run the agent to its end."""
        execution = self.host.execution
        request = read_request(flow_run)
        marks = RunMetadata.of(request) if request is not None else None
        async with marked(self.host.prefect, flow_run, marks):
            await execution.execute(flow_run, execution.context(flow_run, seat))

    def cancel(self, run_id: UUID) -> bool:
        """Have the agent end, and what it gave be kept."""
        return self.host.cancelling.tell(run_id)

    def expect(self, nudge: Callable[[], None]) -> None:
        """Jobs are queued by the host."""
        self.host.nudge = nudge
