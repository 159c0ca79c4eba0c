"""The right of one run to call the model: a token, a budget, and what was used."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

from agent.domain.result import Usage
from agent.provider.budget import CallBudget
from agent.provider.failures import ProviderFailure
from agent.provider.traffic import RunTraffic
from agent.provider.usage_meter import ModelCall

BOOKING_SECONDS = 2.0
"""The time that calls have to end once they are cut; none needs more than a few steps of the event loop."""

MOST_REPORTED = 20
"""So many refusals of one run stand in its events: an agent may ask a thousand times."""


class Lease:
    """Good from its making until `close`; the agent sees `token` and `base_url`, and nothing else of it."""

    def __init__(
        self,
        run_id: str,
        base_url: str,
        variable: str,
        *,
        first_party: bool,
        max_budget_usd: float | None = None,
        model: str | None = None,
        offline: bool = False,
    ) -> None:
        self.run_id = run_id
        self.base_url = base_url
        # In the shape of a key, so that whatever redacts keys redacts it.
        self.token = f"sk-ant-run-{secrets.token_urlsafe(32)}"
        self.model = model
        self.offline = offline
        self.budget = CallBudget(max_budget_usd)
        self.traffic = RunTraffic()
        self.calls: list[ModelCall] = []
        self.usage: dict[str, Usage] = {}
        self.trouble: ProviderFailure | None = None
        self.on_refusal: Callable[[str], None] | None = None
        self._variable = variable
        self._first_party = first_party
        self._closed = False
        self._open: set[asyncio.Task[None]] = set()
        self._refusals: set[str] = set()

    def variables(self) -> dict[str, str]:
        """Return the environment that makes the CLI use this lease.

        The CLI takes any address but the provider's own for a stranger's, and then shares less of its prompt cache.
        """
        environment = {"ANTHROPIC_BASE_URL": self.base_url, self._variable: self.token}
        if self._first_party:
            environment["_CLAUDE_CODE_ASSUME_FIRST_PARTY_BASE_URL"] = "1"
        return environment

    @property
    def is_good(self) -> bool:
        """True if the token still opens the proxy."""
        return not self._closed

    @property
    def cost_usd(self) -> float:
        """US dollars of the calls that are over, counted here."""
        return self.budget.spent_usd

    @property
    def was_billed(self) -> bool:
        """True if the provider has answered a call and is paid for it."""
        return any(call.complete and call.cost_usd > 0 for call in self.calls)

    @property
    def open_calls(self) -> int:
        """Return how many calls are under way."""
        return len(self._open)

    @property
    def total_usage(self) -> Usage:
        """Tokens of the calls that are over, of all models together."""
        total = Usage()
        for usage in self.usage.values():
            total = add(total, usage)
        return total

    def assign(self, run_id: str, max_budget_usd: float | None, model: str | None = None) -> None:
        """Give it to a run, with what that may spend; until then it was made for nobody."""
        self.run_id = run_id
        self.model = model or self.model
        self.budget.limit_usd = max_budget_usd

    def close(self) -> None:
        """Make the token worthless from now on; calls under way may end."""
        self._closed = True

    def cut(self) -> None:
        """Close, and break off the calls under way, so that the provider bills no more of them."""
        self.close()
        self.budget.close()
        for call in self._open:
            call.cancel()

    async def finish(self) -> None:
        """Cut, and return once the calls that were under way are booked."""
        self.cut()
        if self._open:
            await asyncio.wait(self._open, timeout=BOOKING_SECONDS)

    def track(self, call: asyncio.Task[None]) -> None:
        """Keep a call that is under way, so that it can be cut."""
        self._open.add(call)
        call.add_done_callback(self._open.discard)

    def book(self, call: ModelCall) -> None:
        """Enter a call that is over; the budget is settled apart."""
        self.calls.append(call)
        model = call.model or "unknown"
        self.usage[model] = add(self.usage.get(model, Usage()), call.usage)

    def refuse(self, reason: str) -> bool:
        """Tell the run's observers that a call of its agent was refused; False if they know of it already."""
        if reason in self._refusals or len(self._refusals) >= MOST_REPORTED:
            return False
        self._refusals.add(reason)
        if self.on_refusal is not None:
            self.on_refusal(reason)
        return True


def add(one: Usage, other: Usage) -> Usage:
    """Return the sum of both."""
    return Usage(**{name: getattr(one, name) + getattr(other, name) for name in Usage.model_fields})
