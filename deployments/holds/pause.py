"""Pauses and resumes all agents through Prefect's work pools."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Cancelling

from agent.system.concurrency import background_task
from deployments.pools import AGENTS, POOLS
from deployments.prefect_client.calls import OPERATOR_SECONDS, PAGE_RUNS, PrefectUnavailable, calling_prefect
from deployments.prefect_client.flow_runs import in_pool, in_state

LOOK_SECONDS = 2.0
"""How soon a pause on another host, or in Prefect's UI, holds this one."""

_RUNNING = FlowRunFilter(state=in_state(StateType.PENDING, StateType.RUNNING))

_log = logging.getLogger(__name__)


class PauseSwitch:
    """The pause of all agents, which an operator sets here or in Prefect's UI. One per host; Prefect has the record."""

    def __init__(self, client: PrefectClient) -> None:
        self._client = client
        self.paused: frozenset[str] = frozenset()

    @property
    def holds_agents(self) -> bool:
        """True if no agent may start."""
        return AGENTS in self.paused

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """While this is open, follow the pauses set anywhere. Raises PrefectUnavailable at its start."""
        await self.look()
        async with background_task(self._watch()):
            yield

    async def pause(self) -> None:
        """Start no agent on any host until `resume`. Raises PrefectUnavailable."""
        await self._set(paused=True)

    async def resume(self) -> None:
        """Start agents again. Raises PrefectUnavailable."""
        await self._set(paused=False)

    async def cancel_runs(self) -> int:
        """Cancel the running jobs of all hosts and return their number. Raises PrefectUnavailable."""
        runs: list[FlowRun] = []
        async with calling_prefect(OPERATOR_SECONDS):
            # triages first: they end their agents themselves, and leave their items to the next one
            for pool in reversed(POOLS):
                runs += await self._client.read_flow_runs(
                    flow_run_filter=_RUNNING, work_pool_filter=in_pool(pool), limit=PAGE_RUNS
                )
        for run in runs:
            async with calling_prefect(OPERATOR_SECONDS):
                await self._client.set_flow_run_state(run.id, Cancelling(message="everything was paused"))
        return len(runs)

    async def look(self) -> None:
        """Read which pools are paused. Raises PrefectUnavailable."""
        async with calling_prefect(OPERATOR_SECONDS):
            pools = await self._client.read_work_pools(work_pool_filter=in_pool(*POOLS))
        paused = frozenset(pool.name for pool in pools if pool.is_paused)
        if paused != self.paused:
            _log.warning("paused work pools: %s", ", ".join(sorted(paused)) or "none")
        self.paused = paused

    async def _set(self, *, paused: bool) -> None:
        for pool in POOLS:
            async with calling_prefect(OPERATOR_SECONDS):
                await self._client.update_work_pool(pool, WorkPoolUpdate(is_paused=paused))
        await self.look()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except PrefectUnavailable as error:
                _log.debug("cannot read which work pools are paused: %s", error)
