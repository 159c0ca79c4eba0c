"""Prepares checkout and process while Prefect's bookkeeping of the run is still going on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from agent.domain.checkout import Checkout
from agent.domain.request import AgentRequest
from agent.pool.slots import Slot
from agent.runtime import Runtime, StartedProcess


class EarlyStart:
    """The checkout and the process of one run, started by the host before the flow; lives as long as the run.

    The process waits for its prompt: until the flow sends it, no agent acts and nothing is billed. `request` is the
    whole request; None if it is not at hand, and then only the checkout is prepared.
    """

    def __init__(
        self,
        runtime: Runtime,
        slot: Slot,
        run_id: str,
        asked: AgentRequest,
        request: AgentRequest | None,
        is_kept: Callable[[], bool] | None,
    ) -> None:
        self._stack = AsyncExitStack()
        self._checkout = asyncio.create_task(runtime.prepare(slot, asked, run_id, allow_stale=False))
        self._opened: asyncio.Task[StartedProcess] | None = None
        if request is not None:
            self._opened = asyncio.create_task(self._open(runtime, slot, run_id, request, is_kept))

    async def _open(
        self, runtime: Runtime, slot: Slot, run_id: str, request: AgentRequest, is_kept: Callable[[], bool] | None
    ) -> StartedProcess:
        checkout = await asyncio.shield(self._checkout)

        return await self._stack.enter_async_context(
            runtime.start_process(run_id, request, slot, checkout, is_kept=is_kept)
        )

    async def checkout(self) -> Checkout:
        """Return the slot's checkout. Raises WorkspaceError."""
        return await self._checkout

    async def opened(self, checkout: Checkout) -> StartedProcess | None:
        """Return the process, once, to a caller that works in that same checkout; None otherwise.

        Raises NotConfigured, RequestRefused or SpawnFailed.
        """
        opened, self._opened = self._opened, None
        if opened is None or not self._checkout.done() or self._checkout.exception() is not None:
            return None
        return await opened if self._checkout.result() == checkout else None

    async def close(self) -> None:
        """End the process and remove its files. A second call does nothing."""
        for task in (self._checkout, self._opened):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
                if not task.cancelled():
                    task.exception()  # read once, or asyncio logs it: the task that wanted it has raised it already
        await self._stack.aclose()
