"""Totals of a run, counted from its events."""

from __future__ import annotations

from agent.domain.events import Ended, Event, ModelAnswered, Started
from cli.display.formatting import dollars, tokens


class RunTotals:
    """Turns, tokens and, at the end, the cost of one run; made for each job that is followed."""

    def __init__(self, budget_usd: float | None = None) -> None:
        self.model: str | None = None
        self.turns = 0
        self.read = 0
        self.written = 0
        self.cost_usd: float | None = None
        self._budget_usd = budget_usd

    def count(self, event: Event) -> None:
        """Add one event."""
        match event:
            case Started():
                self.model = event.model
            case ModelAnswered():
                self.turns += not event.by_subagent
                self.read += event.usage.prompt_tokens
                self.written += event.usage.output_tokens
            case Ended():
                self.cost_usd, self._budget_usd = event.cost_usd, None

    @property
    def has_started(self) -> bool:
        """True if the agent has started."""
        return self.model is not None

    def __str__(self) -> str:
        """Return the known figures in one line."""
        figures = [f"{self.turns} turn{'s' * (self.turns != 1)}"] if self.turns else []
        if self.read or self.written:
            figures.append(f"{tokens(self.read)} tokens in, {tokens(self.written)} out")
        if self.cost_usd is not None:
            figures.append(dollars(self.cost_usd))
        elif self._budget_usd is not None:
            figures.append(f"at most {dollars(self._budget_usd)}")
        return " · ".join(figures)
