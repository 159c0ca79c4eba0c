"""A run in this very process, for a caller who waits."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import State

from agent.domain.result import Outcome
from tasks.agent_run.context import RunContext

_ENDING_SECONDS = 15.0


class InlineRun:
    """A flow run that started here; `outcome` comes before the run's bookkeeping is done."""

    def __init__(self, context: RunContext, task: asyncio.Task[State[Any]]) -> None:
        self.run_id: UUID = context.run_id
        self._told = context.outcome
        self._cancellation = context.cancellation
        self._task = task

    async def outcome(self) -> Outcome:
        """What the run came to, as soon as it is known."""
        either: set[asyncio.Future[Any]] = {self._told, self._task}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if self._told.done():
            return self._told.result()
        if self._task.cancelled():
            return Outcome(error="the service is stopping")
        state = self._task.result()
        return Outcome(error=state.message or f"the run ended as {state.name} without an answer")

    def cancel(self) -> None:
        """Have the run end."""
        self._cancellation.ask()

    def cancel_unless_told(self) -> None:
        """End the run of a caller who has gone; one that has its answer finishes by itself."""
        if not self._told.done():
            self.cancel()

    async def end(self, patience_seconds: float) -> None:
        """Return once nothing of the run is left: it may finish by itself for a while, then it is cancelled."""
        await asyncio.wait({self._task}, timeout=patience_seconds)
        self.cancel()
        await asyncio.wait({self._task}, timeout=_ENDING_SECONDS)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
