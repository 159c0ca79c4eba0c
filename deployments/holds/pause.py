"""Pauses and resumes all agents through Prefect's work pools."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound

from agent.domain.errors import NotConfigured
from deployments.pools import AGENTS, POOLS
from deployments.prefect_client.calls import BACKGROUND_SECONDS, OPERATOR_SECONDS, PAGE_RUNS, calling_prefect
from deployments.prefect_client.flow_runs import in_pool, in_state, set_states
from deployments.prefect_client.watch import Watches
from flows.agent_run import agent_run
from flows.triage import triage

LOOK_SECONDS = 2.0
"""How soon a pause on another host, or in Prefect's UI, holds this one."""

_RUNNING = in_state(StateType.PENDING, StateType.RUNNING)
_CANCELLED = "everything was paused"
_BULK = 50
"""Prefect's maximum for one change of many runs."""

_log = logging.getLogger(__name__)


class PauseSwitch:
    """The pause of all agents, which an operator sets here or in Prefect's UI. One per host; Prefect has the record."""

    def __init__(self, client: PrefectClient, watches: Watches) -> None:
        self._client = client
        self._watch = watches.add("pauses", self._look, lambda: LOOK_SECONDS)
        self.paused: frozenset[str] = frozenset()

    @property
    def holds_agents(self) -> bool:
        """True if no agent may start."""
        return AGENTS in self.paused

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """While this is open, follow the pauses set anywhere. Raises PrefectUnavailable at its start."""
        await self.look()
        async with self._watch.repeating():
            yield

    async def pause(self) -> None:
        """Start no agent on any host until `resume`. Raises PrefectUnavailable or NotConfigured."""
        await self._set(paused=True)

    async def resume(self) -> None:
        """Start agents again. Raises PrefectUnavailable or NotConfigured."""
        await self._set(paused=False)

    async def cancel_runs(self) -> frozenset[UUID]:
        """Cancel the runs in progress on all hosts, jobs and chats, and return them. Raises PrefectUnavailable."""
        cancelled: frozenset[UUID] = frozenset()
        # triages first: they end their agents themselves, and leave their items to the next one
        for flow in (triage.name, agent_run.name):
            while True:
                more = await self._cancel_some(flow) - cancelled
                if not more:
                    break
                cancelled |= more
        return cancelled

    async def _cancel_some(self, flow: str) -> frozenset[UUID]:
        """Cancel up to a page of the runs of this flow; those that are being cancelled are not among them any more."""
        named = FlowFilter(name=FlowFilterName(any_=[flow]))
        async with calling_prefect(BACKGROUND_SECONDS):
            runs = await self._client.read_flow_runs(
                flow_filter=named, flow_run_filter=FlowRunFilter(state=_RUNNING), limit=PAGE_RUNS
            )
        ids = [run.id for run in runs]
        cancelled: frozenset[UUID] = frozenset()
        for start in range(0, len(ids), _BULK):
            some = FlowRunFilter(id=FlowRunFilterId(any_=ids[start : start + _BULK]), state=_RUNNING)
            cancelled |= await set_states(self._client, some, StateType.CANCELLING, _CANCELLED, BACKGROUND_SECONDS)
        return cancelled

    async def look(self) -> None:
        """Read which pools are paused. Raises PrefectUnavailable."""
        await self._watch.look()

    async def _look(self) -> None:
        async with calling_prefect(OPERATOR_SECONDS):
            pools = await self._client.read_work_pools(work_pool_filter=in_pool(*POOLS))
        paused = frozenset(pool.name for pool in pools if pool.is_paused)
        if paused != self.paused:
            _log.warning("paused work pools: %s", ", ".join(sorted(paused)) or "none")
        self.paused = paused

    async def _set(self, *, paused: bool) -> None:
        missing = []
        for pool in POOLS:
            async with calling_prefect(OPERATOR_SECONDS):
                try:
                    await self._client.update_work_pool(pool, WorkPoolUpdate(is_paused=paused))
                except ObjectNotFound:
                    missing.append(pool)
        await self.look()
        if missing:
            raise NotConfigured(f"the work pool {missing[0]} is not in Prefect; `agent-service apply` creates it")
