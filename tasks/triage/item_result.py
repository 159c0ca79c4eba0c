"""Maps the end of an agent run to the status of its item."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from prefect.client.schemas.objects import FlowRun, StateType
from prefect.utilities.urls import url_for

from agent.domain.result import Outcome
from agent.system.text import shorten, shorten_cause
from store.store import Store
from store.triage_items import ItemVerdict
from tasks.items.injections import tries_to_instruct
from tasks.items.items import Item
from tasks.triage.models import ItemReport, ItemStatus

# a report holds up to 1,000 items and is one row of the store
ANSWER_CHARACTERS = 2_000
KEY_CHARACTERS = 200
VERDICT_CHARACTERS = 20_000


@dataclass(frozen=True)
class ItemResult:
    """The result of one attempt. `counts`: False if the failure is not the item's fault."""

    status: Literal["done", "failed"]
    error: str | None = None
    counts: bool = True


def item_result(flow_run: FlowRun | None, outcome: Outcome | None) -> ItemResult:
    """Return the result of an ended run; `flow_run` is None if Prefect no longer has the run."""
    result = outcome.result if outcome is not None else None
    if flow_run is None or flow_run.state is None:
        if result is not None and result.error is None:
            return ItemResult("done")
        return ItemResult("failed", "Prefect no longer has its run")
    state = flow_run.state
    error = shorten_cause((outcome.error if outcome else None) or state.message or f"the run ended as {state.name}")
    match state.type:
        case StateType.COMPLETED:
            return ItemResult("done")
        case StateType.CANCELLED:
            return ItemResult("failed", error, counts=False)
        case StateType.CRASHED:
            return ItemResult("failed", error)
    # without a result the agent never ran, e.g. for want of a credential: that is not the item's fault
    return ItemResult("failed", error, counts=result is not None)


async def record_verdict(store: Store, triage: str, key: str, run_id: UUID, outcome: Outcome | None) -> None:
    """Record the answer of a run to the item; nothing if it gave none. Raises StoreUnavailable."""
    result = outcome.result if outcome is not None else None
    if result is None or result.error is not None:
        return
    answer = result.structured if result.structured is not None else result.text
    body = json.dumps(answer, ensure_ascii=False)
    if len(body) > VERDICT_CHARACTERS:
        body = json.dumps(body[:VERDICT_CHARACTERS], ensure_ascii=False)
    await store.items.record_verdict(triage, key, ItemVerdict(run_id, body, result.cost_usd))


def describe_item(
    item: Item,
    status: ItemStatus,
    *,
    run_id: UUID | None = None,
    attempts: int = 0,
    outcome: Outcome | None = None,
    error: str | None = None,
) -> ItemReport:
    """Return the item's entry in the report."""
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
        suspicious=tries_to_instruct(item.value),
    )
