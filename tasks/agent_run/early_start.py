"""What a run needs of the machine, begun while its bookkeeping still is: its checkout, and a process for its prompt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from agent.domain.checkout import Checkout
from agent.domain.request import AgentRequest
from agent.pool.slots import Slot
from agent.runtime import Opened, Runtime


class EarlyStart:
    """One run's; nobody is billed and no agent acts before a prompt is said, which is for its flow to do.

    `request` is the whole one; None where that is not at hand, and then no process is started ahead.
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
        self._opened: asyncio.Task[Opened] | None = None
        if request is not None:
            self._opened = asyncio.create_task(self._open(runtime, slot, run_id, request, is_kept))

    async def _open(
        self, runtime: Runtime, slot: Slot, run_id: str, request: AgentRequest, is_kept: Callable[[], bool] | None
    ) -> Opened:
        checkout = await asyncio.shield(self._checkout)
        return await self._stack.enter_async_context(runtime.opened(run_id, request, slot, checkout, is_kept=is_kept))

    async def checkout(self) -> Checkout:
        """The slot's checkout; raises WorkspaceError."""
        return await self._checkout

    async def opened(self, checkout: Checkout) -> Opened | None:
        """The process, for whoever works in that very checkout, to be had once.

        Raises NotConfigured, RequestRefused or SpawnFailed.
        """
        opened, self._opened = self._opened, None
        if opened is None or not self._checkout.done() or self._checkout.exception() is not None:
            return None
        return await opened if self._checkout.result() == checkout else None

    async def close(self) -> None:
        """End the process, and take away what it had; a second time nothing is left to do."""
        for task in (self._checkout, self._opened):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
                if not task.cancelled():
                    task.exception()  # whoever wanted it has been told
        await self._stack.aclose()
