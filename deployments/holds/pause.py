"""The kill switch: pauses everything that starts agents. Prefect's work pools are its record."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Cancelling

from agent.system.concurrency import background_task
from deployments.pools import AGENTS, POOLS
from deployments.prefect_client.calls import PrefectUnavailable, calling_prefect

LOOK_SECONDS = 2.0

_POOLS_FILTER = WorkPoolFilter(name=WorkPoolFilterName(any_=list(POOLS)))
_AT_WORK = FlowRunFilter(
    state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING]))
)
_AT_ONCE = 200
_PATIENCE_SECONDS = 10.0

_log = logging.getLogger(__name__)


class PauseSwitch:
    """Whether agents may start, as an operator has it, here or in Prefect's UI."""

    def __init__(self, client: PrefectClient) -> None:
        self._client = client
        self.paused: frozenset[str] = frozenset()

    @property
    def holds_agents(self) -> bool:
        """Whether no agent may start."""
        return AGENTS in self.paused

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """While this is open, what is paused anywhere is known here soon; raises PrefectUnavailable at its start."""
        await self.look()
        async with background_task(self._watch()):
            yield

    async def pause(self) -> None:
        """Start no agent any more, on any host, until `resume`; raises PrefectUnavailable."""
        await self._set(paused=True)

    async def resume(self) -> None:
        """Start agents again; raises PrefectUnavailable."""
        await self._set(paused=False)

    async def cancel_runs(self) -> int:
        """Cancel what the pools have at work, and count it; what waits goes on waiting. Raises PrefectUnavailable."""
        runs: list[FlowRun] = []
        async with calling_prefect(_PATIENCE_SECONDS):
            # triages first: they end their agents themselves, and leave their items to the next one
            for pool in reversed(POOLS):
                only = WorkPoolFilter(name=WorkPoolFilterName(any_=[pool]))
                runs += await self._client.read_flow_runs(
                    flow_run_filter=_AT_WORK, work_pool_filter=only, limit=_AT_ONCE
                )
        for run in runs:
            async with calling_prefect(_PATIENCE_SECONDS):
                await self._client.set_flow_run_state(run.id, Cancelling(message="everything was paused"))
        return len(runs)

    async def look(self) -> None:
        """See what is paused; raises PrefectUnavailable."""
        async with calling_prefect(_PATIENCE_SECONDS):
            pools = await self._client.read_work_pools(work_pool_filter=_POOLS_FILTER)
        paused = frozenset(pool.name for pool in pools if pool.is_paused)
        if paused != self.paused:
            _log.warning("paused work pools: %s", ", ".join(sorted(paused)) or "none")
        self.paused = paused

    async def _set(self, *, paused: bool) -> None:
        for pool in POOLS:
            async with calling_prefect(_PATIENCE_SECONDS):
                await self._client.update_work_pool(pool, WorkPoolUpdate(is_paused=paused))
        await self.look()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except PrefectUnavailable as error:
                _log.debug("cannot see what is paused: %s", error)
