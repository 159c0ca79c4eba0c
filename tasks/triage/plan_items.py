"""Decides which items are to be handled, from what is known of each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from pydantic import Field

from agent.domain.result import Outcome
from agent.domain.values import Frozen
from store.handled_items import ClaimTerms, ItemAttempt, judge
from store.store import Store
from tasks.retry_policy import is_retryable
from tasks.triage.context import TriageContext, current_triage
from tasks.triage.item_result import describe_item, item_result
from tasks.triage.items import Item, Listing
from tasks.triage.models import ItemReport, ItemStatus, TriageRequest


class Plan(Frozen):
    """The items to handle, and what there is to say of the others."""

    items: list[Item]
    handled_before: int = 0
    elsewhere: int = 0
    reports: list[ItemReport] = Field(default=[], description="What this run, or one that broke off, has done already.")
    set_aside: list[ItemReport] = []


@task(
    name="plan_items",
    retries=3,
    retry_delay_seconds=[0.5, 2, 10],
    retry_condition_fn=is_retryable,
    cache_policy=NO_CACHE,
    persist_result=False,
)
async def plan_items(request: TriageRequest, listing: Listing) -> Plan:
    """Leave out what is handled; what an earlier run began and did not settle is settled first.

    Raises StoreUnavailable, or an error of Prefect's that is retryable.
    """
    plan = await make_plan(request, listing, current_triage())
    get_run_logger().info(
        "%d items to handle, %d handled before, %d set aside", len(plan.items), plan.handled_before, len(plan.set_aside)
    )
    return plan


async def make_plan(request: TriageRequest, listing: Listing, run: TriageContext) -> Plan:
    """What is to be done, after what an earlier run left has been settled."""
    keys = [item.key for item in listing.items]
    known = await run.store.handled.find(request.name, keys)
    settled = await _settle(run, known)
    if settled:
        known = await run.store.handled.find(request.name, keys)
    terms = ClaimTerms(request.max_attempts, request.again, run.lease)
    return await sort_out(listing, known, terms, run.store, run.run_id, settled)


async def sort_out(
    listing: Listing,
    known: Mapping[str, ItemAttempt],
    terms: ClaimTerms,
    store: Store,
    owner: UUID,
    settled: frozenset[UUID] = frozenset(),
) -> Plan:
    """What is to be done with each item; starts nothing, and changes nothing."""
    items, reports, set_aside, handled_before, elsewhere = [], [], [], 0, 0
    for item in listing.items:
        handling = known.get(item.key)
        answer = judge(handling, item.fingerprint, owner, terms, datetime.now(UTC))
        match answer:
            case "mine":
                items.append(item)
            case "elsewhere":
                elsewhere += 1
            case "set aside" if handling is not None:
                set_aside.append(_describe(item, "set aside", handling, None))
            case _ if handling is not None and (handling.owner == owner or handling.claim_id in settled):
                status: ItemStatus = "done" if handling.status == "done" else "failed"
                reports.append(_describe(item, status, handling, await load_outcome(store, handling.run_id)))
            case _:
                handled_before += 1
    return Plan(items=items, handled_before=handled_before, elsewhere=elsewhere, reports=reports, set_aside=set_aside)


async def load_outcome(store: Store, run_id: UUID | None) -> Outcome | None:
    """What the agent's run came to, as far as it was kept."""
    body = await store.outcomes.load(run_id) if run_id is not None else None
    return None if body is None else Outcome.model_validate_json(body)


async def _settle(run: TriageContext, known: Mapping[str, ItemAttempt]) -> frozenset[UUID]:
    """Settle the claims of owners that are gone, and of this run before it broke off, whose agents are done."""
    now = datetime.now(UTC)
    left = {
        handling.run_id: handling
        for handling in known.values()
        if handling.status == "claimed"
        and handling.run_id is not None
        and (handling.owner == run.run_id or now - handling.renewed_at > run.lease)
    }
    if not left:
        return frozenset()
    found = await run.agents.look(list(left))
    settled = set()
    for run_id, handling in left.items():
        flow_run = found.get(run_id)
        if flow_run is not None and (flow_run.state is None or not flow_run.state.is_final()):
            continue
        ending = item_result(flow_run, await load_outcome(run.store, run_id))
        await run.store.handled.settle(handling.claim_id, ending.status, ending.error, counts=ending.counts)
        settled.add(handling.claim_id)
    return frozenset(settled)


def _describe(item: Item, status: ItemStatus, handling: ItemAttempt, outcome: Outcome | None) -> ItemReport:
    return describe_item(
        item, status, run_id=handling.run_id, attempts=handling.attempts, outcome=outcome, error=handling.error
    )
