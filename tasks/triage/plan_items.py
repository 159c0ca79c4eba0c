"""Task: decide which items to handle."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from pydantic import Field

from agent.domain.result import Outcome
from agent.domain.values import Frozen
from store.handled_items import ClaimTerms, ItemAttempt, decide_claim
from store.store import Store
from store.triage_items import SeenItem
from tasks.items.items import Item, Listing
from tasks.retry_policy import is_retryable
from tasks.stored_outcome import load_outcome
from tasks.triage.context import TriageContext, current_triage
from tasks.triage.grouping import gather
from tasks.triage.item_result import describe_item, item_result, record_verdict
from tasks.triage.models import ItemReport, ItemStatus, TriageRequest
from tasks.triage.ordering import in_turn, last_handled


class Plan(Frozen):
    """The items to handle, and the counts and reports of the others; made once per run, passed between tasks."""

    items: list[Item]
    handled_before: int = 0
    claimed_elsewhere: int = 0
    alike: dict[str, list[Item]] = Field(default={}, description="Others of an item's group, by the item's key.")
    reports: list[ItemReport] = Field(default=[], description="Already done by this run or by an interrupted one.")
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
    """Select the items to handle; settle first what an earlier run started and did not settle.

    Raises StoreUnavailable or PrefectUnavailable.
    """
    plan = await make_plan(request, listing, current_triage())
    get_run_logger().info(
        "%d items to handle, %d handled before, %d set aside", len(plan.items), plan.handled_before, len(plan.set_aside)
    )
    return plan


async def make_plan(request: TriageRequest, listing: Listing, run: TriageContext) -> Plan:
    """Settle what an earlier run left, then make the plan."""
    keys = [item.key for item in listing.items]
    seen = await run.store.items.note(
        request.name, [SeenItem(item.key, item.title, item.url) for item in listing.items]
    )
    known = await run.store.handled.find(request.name, keys)
    settled = await _settle(request, run, known)
    if settled:
        known = await run.store.handled.find(request.name, keys)
    terms = ClaimTerms(request.max_attempts, request.again, run.lease)
    plan = await sort_out(listing, known, terms, run.store, run.run_id, settled)
    return order_items(request, plan, known, seen)


def order_items(
    request: TriageRequest, plan: Plan, known: Mapping[str, ItemAttempt], seen: Mapping[str, datetime]
) -> Plan:
    """Return the plan with its items in the order in which they are handed out, each group once."""
    handled = last_handled(known) if request.again else {}
    items, alike = gather(in_turn(plan.items, request.order, request.other_share, seen, handled))
    return plan.model_copy(update={"items": items, "alike": alike})


async def sort_out(
    listing: Listing,
    known: Mapping[str, ItemAttempt],
    terms: ClaimTerms,
    store: Store,
    owner: UUID,
    settled: frozenset[UUID] = frozenset(),
) -> Plan:
    """Decide what to do with each item. Starts nothing and changes nothing."""
    items, reports, set_aside, handled_before, claimed_elsewhere = [], [], [], 0, 0
    for item in listing.items:
        attempt = known.get(item.key)
        answer = decide_claim(attempt, item.fingerprint, owner, terms, datetime.now(UTC))
        match answer:
            case "mine":
                items.append(item)
            case "elsewhere":
                claimed_elsewhere += 1
            case "set aside" if attempt is not None:
                set_aside.append(_describe(item, "set aside", attempt, None))
            case _ if attempt is not None and (attempt.owner == owner or attempt.claim_id in settled):
                status: ItemStatus = "done" if attempt.status == "done" else "failed"
                reports.append(_describe(item, status, attempt, await load_outcome(store, attempt.run_id)))
            case _:
                handled_before += 1
    return Plan(
        items=items,
        handled_before=handled_before,
        claimed_elsewhere=claimed_elsewhere,
        reports=reports,
        set_aside=set_aside,
    )


async def _settle(request: TriageRequest, run: TriageContext, known: Mapping[str, ItemAttempt]) -> frozenset[UUID]:
    """Settle the ended agent runs of lapsed claims, and of this run before it was interrupted."""
    now = datetime.now(UTC)
    left = [
        (key, attempt.run_id, attempt)
        for key, attempt in known.items()
        if attempt.status == "claimed"
        and attempt.run_id is not None
        and (attempt.owner == run.run_id or now - attempt.renewed_at > run.lease)
    ]
    if not left:
        return frozenset()
    # the items of a group have one run
    found = await run.agents.look({run_id for _, run_id, _ in left})
    settled = set()
    for key, run_id, attempt in left:
        flow_run = found.get(run_id)
        if flow_run is not None and (flow_run.state is None or not flow_run.state.is_final()):
            continue
        outcome = await load_outcome(run.store, run_id)
        result = item_result(flow_run, outcome)
        await run.store.handled.settle(attempt.claim_id, result.status, result.error, counts=result.counts)
        await record_verdict(run.store, request.name, key, run_id, outcome)
        settled.add(attempt.claim_id)
    return frozenset(settled)


def _describe(item: Item, status: ItemStatus, attempt: ItemAttempt, outcome: Outcome | None) -> ItemReport:
    return describe_item(
        item, status, run_id=attempt.run_id, attempts=attempt.attempts, outcome=outcome, error=attempt.error
    )
