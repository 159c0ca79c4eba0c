"""Hears that somebody cancels a run, wherever that was asked for, and tells the run if it is at work here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import StateType
from prefect.states import Cancelled

from agent.system.concurrency import background_task
from deployments.prefect_client.calls import PrefectUnavailable, calling_prefect
from tasks.agent_run.outcome import CANCELLED

LOOK_SECONDS = 1.0

_PATIENCE_SECONDS = 10.0
_PAUSES_SECONDS = (0.2, 1.0, 3.0, 10.0, 30.0)
_GIVEN_UP = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CANCELLING, StateType.CANCELLED]))
_AT_ONCE = 200

_log = logging.getLogger(__name__)


class CancellationListener:
    """The runs of this host, each with the way to end it.

    Prefect tells of a cancellation by an event that may be lost, so its states are looked at as well.
    """

    def __init__(self, client: PrefectClient) -> None:
        self._client = client
        self._runs: dict[UUID, Callable[[], None]] = {}

    @contextmanager
    def heard(self, run_id: UUID, end: Callable[[], None]) -> Iterator[None]:
        """While this is open, `end` is called once the run is to end; it may be called again."""
        self._runs[run_id] = end
        try:
            yield
        finally:
            del self._runs[run_id]

    def tell(self, run_id: UUID) -> bool:
        """End the run; False if it is not at work here."""
        end = self._runs.get(run_id)
        if end is not None:
            end()
        return end is not None

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """While this is open, runs of this host that are cancelled anywhere come to know it."""
        async with background_task(self._watch()):
            yield

    async def look(self) -> None:
        """See which runs are to end; raises PrefectUnavailable."""
        at_work = list(self._runs)
        for start in range(0, len(at_work), _AT_ONCE):
            some = FlowRunFilterId(any_=at_work[start : start + _AT_ONCE])
            async with calling_prefect(_PATIENCE_SECONDS):
                ending = await self._client.read_flow_runs(
                    flow_run_filter=FlowRunFilter(id=some, state=_GIVEN_UP), limit=_AT_ONCE
                )
            for flow_run in ending:
                self.tell(flow_run.id)

    async def finish(self, run_id: UUID, message: str | None = None) -> None:
        """The run's work has ended: make it Cancelled; raises PrefectUnavailable after a minute of trying."""
        for pause_seconds in _PAUSES_SECONDS:
            try:
                await self._finish(run_id, message)
                return
            except PrefectUnavailable as error:
                _log.warning("run %s cannot be set to Cancelled yet: %s", run_id, error)
                await asyncio.sleep(pause_seconds)
        await self._finish(run_id, message)

    async def _finish(self, run_id: UUID, message: str | None) -> None:
        async with calling_prefect(_PATIENCE_SECONDS):
            await self._client.set_flow_run_state(run_id, Cancelled(message=message or CANCELLED))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except PrefectUnavailable as error:
                _log.debug("cannot see which runs are cancelled: %s", error)
