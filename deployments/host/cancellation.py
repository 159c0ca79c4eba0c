"""Delivers cancellations requested in Prefect to the runs of this host."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import StateType
from prefect.states import Cancelled, Cancelling

from agent.system.concurrency import background_task
from deployments.prefect_client.calls import OPERATOR_SECONDS, PrefectUnavailable, calling_prefect
from deployments.prefect_client.flow_runs import in_state, read_runs
from tasks.agent_run.outcome import CANCELLED

LOOK_SECONDS = 1.0
"""Prefect's event of a cancellation may be lost; its states are read this often instead."""

_PAUSES_SECONDS = (0.2, 1.0, 3.0, 10.0, 30.0)
_CANCELLED = in_state(StateType.CANCELLING, StateType.CANCELLED)

_log = logging.getLogger(__name__)


class CancellationListener:
    """The running runs of this host, each with the function that cancels it. One per host."""

    def __init__(self, client: PrefectClient) -> None:
        self._client = client
        self._runs: dict[UUID, Callable[[], None]] = {}

    @contextmanager
    def listening(self, run_id: UUID, cancel: Callable[[], None]) -> Iterator[None]:
        """While this is open, `cancel` is called when the run is cancelled; it may be called again."""
        self._runs[run_id] = cancel
        try:
            yield
        finally:
            del self._runs[run_id]

    async def cancel(self, run_id: UUID) -> None:
        """Cancel a run that is not over, on any host. Raises PrefectUnavailable."""
        async with calling_prefect():
            await self._client.set_flow_run_state(run_id, Cancelling(message=CANCELLED))
        self.cancel_local(run_id)

    def cancel_local(self, run_id: UUID) -> bool:
        """Cancel the run if it runs here, without a call to Prefect; False if it does not."""
        cancel = self._runs.get(run_id)
        if cancel is not None:
            cancel()
        return cancel is not None

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """While this is open, cancel the runs of this host that are cancelled in Prefect."""
        async with background_task(self._watch()):
            yield

    async def look(self) -> None:
        """Cancel the runs of this host that Prefect has as cancelled. Raises PrefectUnavailable."""
        for flow_run in await read_runs(self._client, self._runs.keys(), _CANCELLED, OPERATOR_SECONDS):
            self.cancel_local(flow_run.id)

    async def finish(self, run_id: UUID, message: str | None = None) -> None:
        """Set a run whose agent has ended to Cancelled. Raises PrefectUnavailable after a minute of trying."""
        for pause_seconds in _PAUSES_SECONDS:
            try:
                await self._finish(run_id, message)
                return
            except PrefectUnavailable as error:
                _log.warning("run %s cannot be set to Cancelled yet: %s", run_id, error)
                await asyncio.sleep(pause_seconds)
        await self._finish(run_id, message)

    async def _finish(self, run_id: UUID, message: str | None) -> None:
        async with calling_prefect(OPERATOR_SECONDS):
            await self._client.set_flow_run_state(run_id, Cancelled(message=message or CANCELLED))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except PrefectUnavailable as error:
                _log.debug("cannot read which runs are cancelled: %s", error)
