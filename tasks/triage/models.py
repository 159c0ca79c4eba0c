"""TriageRequest, ItemReport, TriageReport: configuration and result of a triage."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field, JsonValue, computed_field, model_validator

from agent.domain.request import AgentRequest, Effort, ToolName
from agent.domain.sealing import unseal
from agent.domain.values import Frozen, Name, Text
from tasks.items.items import Item
from tasks.items.prompt import PromptSource, explain_mark, render_prompt
from tasks.sources.base import Reading
from tasks.sources.expressions import Expression
from tasks.sources.models import Source
from tasks.sources.strict import Strict

READING: list[ToolName] = ["Read", "Glob", "Grep"]
"""The tools of a triage's agents unless the register says otherwise: nothing that writes, runs or fetches."""

Order = Literal["oldest", "newest", "source"]


class TriageRequest(Strict):
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
    link: Expression | None = Field(default=None, description="Its address for people; unset: html_url, web_url, …")
    date: Expression | None = Field(default=None, description="When it came in; unset: created_at, startsAt, date, …")
    show: Expression | None = Field(
        default=None, description="What the agent is shown of an item; unset: all of it, or what the preset chooses."
    )
    group: Expression | None = Field(
        default=None, description="Items for which it finds the same are judged by one run; unset: as the preset says."
    )
    json_schema: dict[str, Any] | None = Field(default=None, title="Answer schema", description="Of each verdict.")
    instructions: Text | None = Field(default=None, description="Added to the agent's own instructions.")
    model: Name | None = None
    effort: Effort | None = None
    max_turns: int | None = Field(default=None, ge=1, le=10_000)
    max_budget_usd: float = Field(default=1.0, gt=0, allow_inf_nan=False, description="The most one item may cost.")
    timeout_seconds: int = Field(default=900, ge=1, description="How long the agent may take for one item.")
    tools: list[ToolName] | Literal["all"] = Field(
        default=READING, description="The CLI's tools that the agents have; `all`: what their definition allows."
    )
    network: Literal["none", "host"] = Field(
        default="none",
        description="`none`: the model's API alone, where there is a sandbox; `host`: as AGENT_NETWORK says.",
    )
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
    order: Order = Field(
        default="oldest", description="Which items come first where a cap lets some wait; `source`: as listed."
    )
    other_share: float = Field(
        default=0.2,
        ge=0,
        le=0.5,
        description="The share of places that the other end of the order gets, so that nothing waits for ever.",
    )
    max_failed_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="The run fails if more than this share of its items failed, or if all did.",
    )
    only: list[str] = Field(default=[], max_length=1000, description="Only the items of these keys.")
    again: bool = Field(
        default=False,
        description="Handle what was handled, or set aside, once more: what was handled longest ago comes first.",
    )

    sealed: str | None = Field(
        default=None,
        title="Sealed members",
        description="Set by the service: members that Prefect must not interpret, as JSON.",
    )

    @model_validator(mode="before")
    @classmethod
    def open_sealed_members(cls, values: Any) -> Any:
        """Open what Prefect must not interpret."""
        return unseal(values)

    @model_validator(mode="after")
    def needs_room_for_one_item(self) -> TriageRequest:
        """Refuse caps under which no item could ever be handled."""
        if self.max_cost_usd < self.max_budget_usd:
            raise ValueError(
                f"max_cost_usd ({self.max_cost_usd:g}) is less than max_budget_usd ({self.max_budget_usd:g}), what one "
                "item may cost: no item could ever be handled; lower max_budget_usd or raise max_cost_usd"
            )
        return self

    @property
    def own_reading(self) -> Reading:
        """Return the operator's own expressions."""
        return Reading(
            where=self.where,
            **{name: getattr(self, name) for name in ("key", "fingerprint", "title", "link", "date", "show", "group")},
        )

    @property
    def reading(self) -> Reading:
        """Return the expressions that make items of the source's values: the source's, then the operator's own."""
        return self.source.reading().joined(self.own_reading)


def agent_request(triage: TriageRequest, item: Item, mark: str, *, has_sandbox: bool = True) -> AgentRequest:
    """Build the agent's request for one item. Raises PromptFailed.

    Without a sandbox no run can be kept from the network: then its tools alone are restricted.
    """
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
        tools=None if triage.tools == "all" else triage.tools,
        network="none" if triage.network == "none" and has_sandbox else None,
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
    suspicious: bool = Field(default=False, description="Its text tries to instruct whoever reads it.")


class TriageReport(Frozen):
    """The report of one triage run; stored as the run's outcome."""

    name: str
    started_at: datetime
    finished_at: datetime
    listed: int = Field(default=0, description="What the source listed.")
    left_out: int = Field(default=0, description="Left out by `where`, or by the source's own filter.")
    unreadable: int = Field(default=0, description="Listed without a key, or with the key of another item.")
    handled_before: int = Field(default=0, description="Unchanged since an agent handled them.")
    elsewhere: int = Field(default=0, description="At work in another run at the same time.")
    waiting: int = Field(default=0, description="Left for the next run by a cap.")
    items: list[ItemReport] = []
    set_aside: list[ItemReport] = Field(default=[], description="Failed too often, and not tried any more.")
    problems: list[str] = Field(default=[], description="What was listed and is no item.")
    notes: list[str] = Field(default=[], description="What a reader must know, e.g. which cap was met.")
    max_cost_usd: float | None = Field(default=None, description="What a dry run's plan may cost at most.")
    max_failed_share: float = Field(default=1.0, description="The run has failed if a larger share of it failed.")

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
    def failed(self) -> int:
        """Count the items that failed, and what was listed and could not be read."""
        return self.counts.get("failed", 0) + self.unreadable

    @property
    def has_failed(self) -> bool:
        """True if something failed, and either nothing was done or at work, or more failed than is allowed."""
        good = self.counts.get("done", 0) + self.counts.get("at work", 0)
        if not self.failed:
            return False
        # what was handled before can be read: a single bad value beside it is no failure of the triage
        read = good + (self.handled_before + self.elsewhere + self.waiting if self.unreadable else 0)
        return not read or self.failed / (read + self.failed) > self.max_failed_share
