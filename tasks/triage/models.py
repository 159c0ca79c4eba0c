"""TriageRequest, ItemReport, TriageReport: configuration and result of a triage."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field, JsonValue, computed_field

from agent.domain.request import AgentRequest, Effort
from agent.domain.values import Frozen, Name, Text
from tasks.sources.expressions import Expression
from tasks.sources.models import IssuesSource, Reading, Source
from tasks.triage.items import Item
from tasks.triage.prompt import PromptSource, explain_mark, render_prompt


class TriageRequest(Frozen):
    """The configuration of a triage, the only parameter of the flow `triage`."""

    name: Name = Field(title="Name", description="Items are remembered under it: a new name starts from nothing.")
    source: Source
    agent: Name = Field(title="Agent", description="The agent's name, or the path of its definition.")
    prompt: PromptSource = Field(
        default="Triage this item.",
        title="Prompt",
        description="A Jinja2 template over `item`, `key`, `title` and `url`; one that shows none has the item added.",
    )
    where: Expression | None = Field(default=None, description="Which items count: a JMESPath expression.")
    key: Expression | None = Field(default=None, description="What names an item; unset: html_url, id, url, path, …")
    fingerprint: Expression | None = Field(
        default=None, description="What has to change for an item to be handled again; unset: title and body, or all."
    )
    title: Expression | None = Field(default=None, description="What a person recognises the item by.")
    json_schema: dict[str, Any] | None = Field(default=None, title="Answer schema", description="Of each verdict.")
    instructions: Text | None = Field(default=None, description="Added to the agent's own instructions.")
    model: Name | None = None
    effort: Effort | None = None
    max_turns: int | None = Field(default=None, ge=1, le=10_000)
    max_budget_usd: float = Field(default=1.0, gt=0, allow_inf_nan=False, description="The most one item may cost.")
    timeout_seconds: int = Field(default=900, ge=1, description="How long the agent may take for one item.")
    workspace: Name = "default"
    ref: Name | None = None
    max_items: int = Field(default=20, ge=1, le=1000, description="How many items are given to agents in one run.")
    at_once: int = Field(default=4, ge=1, le=100, description="How many of them at the same time.")
    max_cost_usd: float = Field(
        default=10.0, gt=0, allow_inf_nan=False, description="What one run may cost; the rest waits for the next."
    )
    max_attempts: int = Field(default=3, ge=1, le=20, description="After so many failures an item is set aside.")
    max_wait_seconds: int = Field(
        default=21_600, ge=1, description="Agents that are not done by then are left to the next run."
    )
    again: bool = Field(default=False, description="Handle what was handled, or set aside, once more.")

    @property
    def reading(self) -> Reading:
        """Return the expressions that make items of the source's values."""
        reading = Reading(where=self.where, key=self.key, fingerprint=self.fingerprint, title=self.title)
        return self.source.reading(reading) if isinstance(self.source, IssuesSource) else reading


def agent_request(triage: TriageRequest, item: Item, mark: str) -> AgentRequest:
    """Build the agent's request for one item. Raises PromptFailed."""
    explained = explain_mark(mark)
    return AgentRequest(
        prompt=render_prompt(triage.prompt, item, mark),
        agent=triage.agent,
        model=triage.model,
        effort=triage.effort,
        max_budget_usd=triage.max_budget_usd,
        timeout_seconds=triage.timeout_seconds,
        max_turns=triage.max_turns,
        json_schema=triage.json_schema,
        instructions=f"{triage.instructions}\n\n{explained}" if triage.instructions else explained,
        workspace=triage.workspace,
        ref=triage.ref,
        metadata={"triage": triage.name, "item": item.title},
    )


ItemStatus = Literal["done", "failed", "set aside", "at work", "planned"]
"""`at work`: its agent was still running when the triage ended; `planned`: a dry run would handle it."""


class ItemReport(Frozen):
    """One item of the report: its status, and the verdict of its agent."""

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
    """The report of one triage run; stored as the run's outcome."""

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
        """Count the items by status."""
        return dict(Counter(item.status for item in self.items))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def cost_usd(self) -> float:
        """Sum the known costs of the agent runs."""
        return sum(item.cost_usd or 0.0 for item in self.items)

    @property
    def has_failed(self) -> bool:
        """True if items were tried and none is done or still running."""
        return self.counts.get("failed", 0) > 0 and not self.counts.get("done") and not self.counts.get("at work")
