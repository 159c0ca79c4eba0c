"""What a triage may still spend, with what its agents at work may come to."""

from __future__ import annotations

import asyncio


class Budget:
    """Money is set aside for an agent before it starts, and what it did not need comes back when it ends."""

    def __init__(self, limit_usd: float, spent_usd: float = 0.0) -> None:
        self._limit_usd = limit_usd
        self._spent_usd = spent_usd
        self._set_aside: list[float] = []
        self._changed = asyncio.Condition()

    async def set_aside(self, budget_usd: float) -> bool:
        """Set the budget aside, as soon as it fits; False once no agent's end can make it fit."""
        async with self._changed:
            while not self._fits(budget_usd):
                if not self._set_aside:
                    return False
                await self._changed.wait()
            self._set_aside.append(budget_usd)
            return True

    async def settle(self, budget_usd: float, cost_usd: float | None) -> None:
        """The agent has ended; one whose cost is not known may have cost all of its budget."""
        async with self._changed:
            self._set_aside.remove(budget_usd)
            self._spent_usd += budget_usd if cost_usd is None else cost_usd
            self._changed.notify_all()

    def _fits(self, budget_usd: float) -> bool:
        # a cent's fraction lost in binary must not cost an item its turn
        return self._spent_usd + sum(self._set_aside) + budget_usd <= self._limit_usd + 1e-9
