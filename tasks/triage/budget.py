"""The cost limit of a triage: spent and reserved."""

from __future__ import annotations

import asyncio


class Budget:
    """The budget of one triage run. A full item budget is reserved before an agent starts; its end frees the rest."""

    def __init__(self, limit_usd: float, spent_usd: float = 0.0) -> None:
        self._limit_usd = limit_usd
        self._spent_usd = spent_usd
        self._reserved: list[float] = []
        self._changed = asyncio.Condition()

    async def reserve(self, budget_usd: float) -> bool:
        """Reserve the budget as soon as it fits. False if it cannot fit even when all agents have ended."""
        async with self._changed:
            while not self._fits(budget_usd):
                if not self._reserved:
                    return False
                await self._changed.wait()
            self._reserved.append(budget_usd)
            return True

    async def settle(self, budget_usd: float, cost_usd: float | None) -> None:
        """Replace the reservation by the cost, or, if the cost is None (unknown), count all of it as spent."""
        async with self._changed:
            self._reserved.remove(budget_usd)
            self._spent_usd += budget_usd if cost_usd is None else cost_usd
            self._changed.notify_all()

    def _fits(self, budget_usd: float) -> bool:
        # 0.1 + 0.2 > 0.3 in binary: without a tolerance the last item would not fit
        return self._spent_usd + sum(self._reserved) + budget_usd <= self._limit_usd + 1e-9
