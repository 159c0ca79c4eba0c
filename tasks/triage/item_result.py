"""What the end of an agent's run means for the item it was about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from prefect.client.schemas.objects import FlowRun, StateType
from prefect.utilities.urls import url_for

from agent.domain.result import Outcome
from agent.system.text import shorten, shorten_cause
from tasks.triage.items import Item
from tasks.triage.models import ItemReport, ItemStatus

ANSWER_CHARACTERS = 2_000
KEY_CHARACTERS = 200


@dataclass(frozen=True)
class ItemResult:
    """How an attempt ended; one that does not count says nothing about the item."""

    status: Literal["done", "failed"]
    error: str | None = None
    counts: bool = True


def item_result(flow_run: FlowRun | None, outcome: Outcome | None) -> ItemResult:
    """The ending of a run that is over, or, for None, that Prefect does not know any more."""
    result = outcome.result if outcome is not None else None
    if flow_run is None or flow_run.state is None:
        if result is not None and result.error is None:
            return ItemResult("done")
        return ItemResult("failed", "its run is gone from Prefect")
    state = flow_run.state
    error = shorten_cause((outcome.error if outcome else None) or state.message or f"the run ended as {state.name}")
    match state.type:
        case StateType.COMPLETED:
            return ItemResult("done")
        case StateType.CANCELLED:
            return ItemResult("failed", error, counts=False)
        case StateType.CRASHED:
            return ItemResult("failed", error)
    # an agent that never ran, for want of a key or a workspace, says nothing about the item
    return ItemResult("failed", error, counts=result is not None)


def describe_item(
    item: Item,
    status: ItemStatus,
    *,
    run_id: UUID | None = None,
    attempts: int = 0,
    outcome: Outcome | None = None,
    error: str | None = None,
) -> ItemReport:
    """What the report says of the item."""
    result = outcome.result if outcome is not None else None
    text = result.text if result is not None else None
    return ItemReport(
        title=item.title,
        key=shorten(item.key, KEY_CHARACTERS),
        url=item.url,
        status=status,
        attempts=attempts,
        run_id=run_id,
        run_url=url_for("flow-run", run_id) if run_id is not None else None,
        verdict=result.structured if result is not None else None,
        answer=text if text is None or len(text) <= ANSWER_CHARACTERS else f"{text[:ANSWER_CHARACTERS]}…",
        cost_usd=result.cost_usd if result is not None else None,
        error=error,
    )
