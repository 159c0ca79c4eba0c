"""The right of one run to call the model: a token, a budget, and what was used."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

from agent.domain.result import Usage
from agent.provider.failures import ProviderFailure
from agent.provider.usage_meter import ModelCall

Price = Callable[[str, Usage], float | None]
"""What a call cost in US dollars; None: the model is not known."""


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
    ) -> None:
        self.run_id = run_id
        self.base_url = base_url
        # In the shape of a key, so that whatever redacts keys redacts it.
        self.token = f"sk-ant-run-{secrets.token_urlsafe(32)}"
        self.max_budget_usd = max_budget_usd
        self.calls: list[ModelCall] = []
        self.usage: dict[str, Usage] = {}
        self.cost_usd = 0.0
        self.trouble: ProviderFailure | None = None
        self._variable = variable
        self._first_party = first_party
        self._closed = False
        self._open: set[asyncio.Task[None]] = set()

    def variables(self) -> dict[str, str]:
        """The environment that makes the CLI use this lease.

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
    def is_used_up(self) -> bool:
        """True if the calls so far have cost the whole budget."""
        return self.max_budget_usd is not None and self.cost_usd >= self.max_budget_usd

    @property
    def open_calls(self) -> int:
        """How many calls are under way."""
        return len(self._open)

    def assign(self, run_id: str, max_budget_usd: float | None) -> None:
        """Give it to a run, with what that may spend; until then it was made for nobody."""
        self.run_id = run_id
        self.max_budget_usd = max_budget_usd

    def close(self) -> None:
        """Make the token worthless from now on; calls under way may end."""
        self._closed = True

    def cut(self) -> None:
        """Close, and break off the calls under way, so that the provider bills no more of them."""
        self.close()
        for call in self._open:
            call.cancel()

    def track(self, call: asyncio.Task[None]) -> None:
        """Keep a call that is under way, so that it can be cut."""
        self._open.add(call)
        call.add_done_callback(self._open.discard)

    def book(self, call: ModelCall, price: Price | None) -> None:
        """Enter a call that is over."""
        self.calls.append(call)
        model = call.model or "unknown"
        self.usage[model] = add(self.usage.get(model, Usage()), call.usage)
        if price is not None:
            self.cost_usd += price(model, call.usage) or 0.0


def add(one: Usage, other: Usage) -> Usage:
    """Both together."""
    return Usage(**{name: getattr(one, name) + getattr(other, name) for name in Usage.model_fields})
