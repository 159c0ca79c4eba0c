"""A run in this very process, for a caller who waits."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import State

from agent.models import Outcome


class InlineRun:
    """A flow run that started here; `outcome` comes before the run's bookkeeping is done."""

    def __init__(self, run_id: UUID, told: asyncio.Future[Outcome], task: asyncio.Task[State[Any]]) -> None:
        self.run_id = run_id
        self._told = told
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

    def cancel_unless_told(self) -> None:
        """End the run of a caller who has gone; one that has its answer finishes by itself."""
        if not self._told.done():
            self._task.cancel()
