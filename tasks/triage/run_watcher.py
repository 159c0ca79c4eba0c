"""Waits for many agent runs with one Prefect query per interval."""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import FlowRun

from tasks.triage.context import Agents

# short at first, because small items end within seconds; the upper bound is what an ended run waits at most
SOONEST_SECONDS = 0.5
LATEST_SECONDS = 5.0
_GROWTH = 1.3

Logger = logging.Logger | logging.LoggerAdapter[Any]


class RunWatcher:
    """The agent runs that one triage waits for; lives as long as the handling. Survives outages of Prefect."""

    def __init__(self, agents: Agents, logger: Logger) -> None:
        self._agents = agents
        self._logger = logger
        self._awaited: dict[UUID, asyncio.Future[FlowRun | None]] = {}
        self._missing: set[UUID] = set()
        self._added = asyncio.Event()

    async def of(self, run_id: UUID) -> FlowRun | None:
        """Wait for the run to end and return it; None if the run no longer exists."""
        future = self._awaited.setdefault(run_id, asyncio.get_running_loop().create_future())
        self._added.set()
        return await asyncio.shield(future)

    async def watch(self) -> None:
        """Query Prefect until cancelled; the interval grows while no run ends."""
        interval = SOONEST_SECONDS
        while True:
            await self._wait(interval)
            try:
                ended = await self._look()
            except Exception as error:
                self._logger.warning("cannot query the agent runs, which continue: %s", error)
                ended = 0
            interval = SOONEST_SECONDS if ended else min(interval * _GROWTH, LATEST_SECONDS)

    async def _wait(self, interval: float) -> None:
        if not self._awaited:
            await self._added.wait()
        self._added.clear()
        try:
            async with asyncio.timeout(interval):
                await self._added.wait()
        except TimeoutError:
            return
        await asyncio.sleep(min(interval, SOONEST_SECONDS))

    async def _look(self) -> int:
        """Query the awaited runs once. Returns how many have ended."""
        awaited = set(self._awaited)
        found = await self._agents.look(awaited)
        over: dict[UUID, FlowRun | None] = {
            run_id: run for run_id, run in found.items() if run.state is not None and run.state.is_final()
        }
        # a run counts as gone only when two queries miss it: the first may come before Prefect shows it
        over |= dict.fromkeys((awaited - found.keys()) & self._missing)
        self._missing = awaited - found.keys()
        for run_id, run in over.items():
            self._awaited.pop(run_id).set_result(run)
        return len(over)
