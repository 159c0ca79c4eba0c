"""Has the runs carried on that an earlier host was at work in, and that were asked to be (`on_crash: resume`)."""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import FlowRun, State
from prefect.states import AwaitingRetry, Pending

from agent.domain.checkout import Resumption
from deployments.host.host import Host
from deployments.host.run_metadata import is_to_resume
from deployments.prefect_client.calls import calling_prefect

MOST_TIMES = 10
"""So often a run is begun or carried on; after that it is perhaps what its hosts die of."""

_PATIENCE_SECONDS = 30.0

_log = logging.getLogger(__name__)


class Resumptions:
    """Before a host takes any work: each slot goes to the run that left its files there."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def resume(self, flow_run: FlowRun) -> bool:
        """Have the run carried on, or done anew if its agent had not begun; False if it is to be ended.

        Raises PrefectUnavailable.
        """
        if not _may_go_on(flow_run):
            return False
        where = self._host.in_flight.whereabouts(flow_run.id)
        if where is not None and flow_run.run_count > where.run_count:
            # another host did not wait for us any longer: it is that one's now
            self._host.in_flight.forget(flow_run.id)
            return True
        session_id = await asyncio.to_thread(self._host.runtime.private(str(flow_run.id)).session_id)
        if where is None or where.checkout is None or session_id is None:
            await self._set(flow_run.id, AwaitingRetry(message="its agent had not begun"))
            self._host.in_flight.forget(flow_run.id)
            return True
        slot = self._host.runtime.slots.claim(where.slot) if where.checkout.path.is_dir() else None
        if slot is None:
            return False
        try:
            # which nobody else can take, as a run that is to be tried again could be
            carried = await self._set(flow_run.id, Pending(message=self._host.in_flight.claim))
        except BaseException:
            self._host.runtime.slots.give_back(slot)
            raise
        self._host.in_flight.write(flow_run.id, where.model_copy(update={"run_count": carried.run_count + 1}))
        self._host.carried.append((carried, slot))
        self._host.resumptions[flow_run.id] = Resumption(checkout=where.checkout, session_id=session_id)
        _log.warning("run %s is carried on in slot %d", flow_run.id, slot.index)
        return True

    async def _set(self, run_id: UUID, state: State[Any]) -> FlowRun:
        async with calling_prefect(_PATIENCE_SECONDS):
            await self._host.prefect.set_flow_run_state(run_id, state, force=True)
            return await self._host.prefect.read_flow_run(run_id)


def _may_go_on(flow_run: FlowRun) -> bool:
    state = flow_run.state
    over = state is None or state.is_final() or state.is_cancelling()
    if over or flow_run.run_count >= MOST_TIMES or flow_run.deployment_id is None:
        return False
    return is_to_resume(flow_run)
