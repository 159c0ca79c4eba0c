"""Resumes interrupted runs with on_crash=resume."""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import FlowRun, State
from prefect.states import AwaitingRetry, Pending

from agent.domain.checkout import Resumption
from agent.pool.slots import Slot
from deployments.host.host import Host
from deployments.host.run_metadata import is_to_resume
from deployments.host.slot_use import SlotUse
from deployments.prefect_client.calls import BACKGROUND_SECONDS, calling_prefect

MAX_STARTS = 10
"""A run is started or resumed so often at most: past that it may be what its hosts die of."""

_log = logging.getLogger(__name__)


class Resumptions:
    """The runs that this host resumes, each in the slot that holds its files. One per host.

    The settlement fills it before the host takes any work; the worker takes from it first of all.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._slots: list[tuple[FlowRun, SlotUse[Slot]]] = []
        self._resumptions: dict[UUID, Resumption] = {}

    @property
    def waiting(self) -> frozenset[UUID]:
        """Return the runs that wait for the worker to resume them."""
        return frozenset(flow_run.id for flow_run, _ in self._slots)

    def take_slots(self) -> list[tuple[FlowRun, SlotUse[Slot]]]:
        """Return the runs to resume, each with its slot, which the taker closes."""
        taken, self._slots = self._slots, []
        return taken

    def take(self, run_id: UUID) -> Resumption | None:
        """Return what a resumed run goes on with; None for any other run."""
        return self._resumptions.pop(run_id, None)

    async def resume(self, flow_run: FlowRun) -> bool:
        """Resume the run, or queue it anew if its agent had not begun; False if it is to be settled.

        Raises PrefectUnavailable.
        """
        if not _may_go_on(flow_run):
            return False
        record = self._host.records.read(flow_run.id)
        if record is not None and flow_run.run_count > record.run_count:
            # another host did not wait for this one any longer, and has started it anew
            self._host.records.forget(flow_run.id)
            return True
        session_id = await asyncio.to_thread(self._host.runtime.run_directory(str(flow_run.id)).session_id)
        if record is None or record.checkout is None or session_id is None:
            await self._set(flow_run.id, AwaitingRetry(message="its agent had not begun"))
            self._host.records.forget(flow_run.id)
            return True
        slots = self._host.runtime.slots
        found = slots.acquire_index(record.slot) if record.checkout.path.is_dir() else None
        if found is None:
            return False
        slot = SlotUse(found, slots.release)
        try:
            # Pending, which no other host can take, unlike a run that is to be tried again
            resumed = await self._set(flow_run.id, Pending(message=self._host.records.claim))
            self._host.records.write(flow_run.id, record.model_copy(update={"run_count": resumed.run_count + 1}))
        except BaseException:
            slot.close()
            raise
        self._slots.append((resumed, slot))
        self._resumptions[flow_run.id] = Resumption(checkout=record.checkout, session_id=session_id)
        _log.warning("run %s is resumed in slot %d", flow_run.id, found.index)
        return True

    async def _set(self, run_id: UUID, state: State[Any]) -> FlowRun:
        async with calling_prefect(BACKGROUND_SECONDS):
            await self._host.prefect.set_flow_run_state(run_id, state, force=True)
            return await self._host.prefect.read_flow_run(run_id)


def _may_go_on(flow_run: FlowRun) -> bool:
    state = flow_run.state
    over = state is None or state.is_final() or state.is_cancelling()
    if over or flow_run.run_count >= MAX_STARTS or flow_run.deployment_id is None:
        return False
    return is_to_resume(flow_run)
