"""The budget of one run at the provider: reserves before each model call, settles after it."""

from __future__ import annotations

import asyncio


class BudgetSpent(Exception):
    """The run has spent its budget: no further call is made for it."""


class CallBudget:
    """What one run may spend, has spent and has reserved for its open calls, in US dollars. One per lease.

    A call that does not fit beside the open ones waits for them. One that is alone is made while anything is left,
    as the CLI itself does: so a run can spend more than its budget by one call, and by no more.
    """

    def __init__(self, limit_usd: float | None) -> None:
        self.limit_usd = limit_usd
        self.spent_usd = 0.0
        self._reserved: dict[object, float] = {}
        self._changed = asyncio.Event()
        self._closed = False

    @property
    def is_spent(self) -> bool:
        """True if the calls so far have cost the whole budget."""
        return self.limit_usd is not None and self.spent_usd >= self.limit_usd

    async def reserve(self, call: object, dollars: float) -> None:
        """Wait until the call fits into the budget, and reserve so much for it. Raises BudgetSpent."""
        while True:
            if self._closed or self.is_spent:
                raise BudgetSpent
            if self.limit_usd is None or not self._reserved or self._left() >= dollars:
                self._reserved[call] = dollars
                return
            changed = self._changed
            await changed.wait()

    def settle(self, call: object, dollars: float) -> None:
        """Give back what was reserved for the call, and count what it cost."""
        self._reserved.pop(call, None)
        self.spent_usd += dollars
        self._notify()

    def close(self) -> None:
        """Refuse those that wait."""
        self._closed = True
        self._notify()

    def _left(self) -> float:
        return (self.limit_usd or 0.0) - self.spent_usd - sum(self._reserved.values())

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
