"""A triage: where it looks, which agent judges each item, and how far it may go."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from agent.expression import Expression
from agent.item import Item, Reading
from agent.item_prompt import PromptSource, explain_mark, render_prompt
from agent.models import AgentRequest, Effort, Frozen, Name, Text
from agent.sources import IssuesSource, Source


class TriageRequest(Frozen):
    """The only parameter of the flow `triage`."""

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
        """How items are read from what the source lists."""
        reading = Reading(where=self.where, key=self.key, fingerprint=self.fingerprint, title=self.title)
        return self.source.reading(reading) if isinstance(self.source, IssuesSource) else reading


def agent_request(triage: TriageRequest, item: Item, mark: str) -> AgentRequest:
    """What the agent is asked for one item; raises PromptFailed."""
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
