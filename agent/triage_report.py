"""What a triage comes to: each item with its verdict or its trouble, and what all of it cost."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field, JsonValue, computed_field

from agent.models import Frozen

ItemStatus = Literal["done", "failed", "set aside", "at work", "planned"]
"""`at work`: its agent was not done when the triage ended; `planned`: a dry run would hand it out."""


class ItemReport(Frozen):
    """What became of one item in this run."""

    title: str
    key: str = Field(description="On one line, and shortened.")
    status: ItemStatus
    url: str | None = None
    attempts: int = 0
    run_id: UUID | None = None
    run_url: str | None = None
    verdict: JsonValue = Field(default=None, description="The answer that follows the schema.")
    answer: str | None = Field(default=None, description="The answer as text, shortened.")
    cost_usd: float | None = None
    error: str | None = None


class TriageReport(Frozen):
    """What came in, and what was thought of it."""

    name: str
    started_at: datetime
    finished_at: datetime
    listed: int = Field(default=0, description="Items in the source.")
    handled_before: int = Field(default=0, description="Unchanged since an agent handled them.")
    elsewhere: int = Field(default=0, description="At work in another run at the same time.")
    waiting: int = Field(default=0, description="Left for the next run by a cap.")
    items: list[ItemReport] = []
    set_aside: list[ItemReport] = Field(default=[], description="Failed too often, and not tried any more.")
    problems: list[str] = Field(default=[], description="What was listed and is no item.")
    notes: list[str] = Field(default=[], description="What a reader must know, e.g. which cap was met.")
    max_cost_usd: float | None = Field(default=None, description="What a dry run's plan may cost at most.")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def counts(self) -> dict[str, int]:
        """How many items came to what."""
        return dict(Counter(item.status for item in self.items))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def cost_usd(self) -> float:
        """What the agents of this run cost together, as far as it is known."""
        return sum(item.cost_usd or 0.0 for item in self.items)

    @property
    def has_failed(self) -> bool:
        """Whether something was tried, and nothing came of it."""
        return self.counts.get("failed", 0) > 0 and not self.counts.get("done") and not self.counts.get("at work")
