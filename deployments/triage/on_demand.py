"""Starts or plans a registered triage out of schedule."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound
from pydantic import ValidationError

from agent.domain.errors import AgentError, RequestRefused
from agent.domain.sealing import seal_meaningful
from deployments.host.host import Host
from deployments.host.run_metadata import triage_labels, triage_tags
from deployments.prefect_client.calls import calling_prefect
from store.handled_items import ClaimTerms
from tasks.items.items import Item, Listing
from tasks.items.prompt import PromptFailed
from tasks.sources.listing import list_source
from tasks.sources.strict import describe_mistake
from tasks.triage.item_result import describe_item
from tasks.triage.list_items import make_listing
from tasks.triage.models import ItemReport, TriageReport, TriageRequest, agent_request
from tasks.triage.plan_items import Plan, order_items, sort_out

_NAME = re.compile(r"[\w. -]{1,200}")


class NoSuchTriage(Exception):
    """No deployment of the flow `triage` has that name."""


async def start_triage(
    host: Host, name: str, *, again: bool, tags: list[str], limit: int | None = None, only: Sequence[str] = ()
) -> UUID:
    """Queue a run of the triage now, whatever its schedule says; of at most `limit` items, or `only` of some keys.

    Raises NoSuchTriage, RequestRefused or PrefectUnavailable.
    """
    deployment = await find_triage(host, name)
    request = triage_request(deployment, again=again)
    changes = ({"max_items": min(limit, request.max_items)} if limit else {}) | ({"only": [*only]} if only else {})
    request = request.model_copy(update=changes)
    parameters = {"request": seal_meaningful(request.model_dump(mode="json", exclude_unset=True))}
    async with calling_prefect():
        flow_run = await host.prefect.create_flow_run_from_deployment(
            deployment.id,
            parameters=parameters,
            tags=[*tags, *triage_tags(request.name)],
            labels=triage_labels(request.name, tags),
        )
    host.triages_queued.set()
    return flow_run.id


async def plan_triage(host: Host, name: str, *, again: bool = False) -> TriageReport:
    """Return what a run would do now and what it may cost; start no agent, and store nothing.

    Raises NoSuchTriage, RequestRefused, SourceFailed, WorkspaceError, StoreUnavailable or PrefectUnavailable.
    """
    started_at = datetime.now(UTC)
    request = triage_request(await find_triage(host, name), again=again)
    values, notes = await list_source(request.source, request.workspace, request.ref, host)
    listing = await asyncio.to_thread(make_listing, values, request, notes)
    known = await host.store.handled.find(request.name, [item.key for item in listing.items])
    lease = timedelta(seconds=host.settings.triage_lease_seconds)
    terms = ClaimTerms(request.max_attempts, request.again, lease)
    plan = await sort_out(listing, known, terms, host.store, uuid4())
    seen = await host.store.items.first_seen(request.name, [item.key for item in listing.items])
    return _report(request, listing, order_items(request, plan, known, seen), started_at)


def _report(request: TriageRequest, listing: Listing, plan: Plan, started_at: datetime) -> TriageReport:
    chosen = plan.items[: request.max_items]
    waiting = len(plan.items) - len(chosen)
    most = len(chosen) * request.max_budget_usd
    notes = [*listing.notes]
    if alike := sum(len(others) for others in plan.alike.values()):
        notes.append(f"{alike} more items are alike, and judged with these")
    if waiting:
        notes.append(f"{waiting} items would wait for the next run: max_items allows {request.max_items} in one run")
    if most > request.max_cost_usd:
        notes.append(f"fewer may be handled: max_cost_usd allows ${request.max_cost_usd:g} in one run")
    return TriageReport(
        name=request.name,
        started_at=started_at,
        finished_at=datetime.now(UTC),
        listed=listing.values,
        left_out=listing.left_out,
        unreadable=listing.unreadable,
        handled_before=plan.handled_before,
        elsewhere=plan.claimed_elsewhere,
        waiting=waiting,
        items=[_planned(request, item) for item in chosen],
        set_aside=plan.set_aside,
        problems=listing.problems,
        notes=notes,
        max_cost_usd=min(most, request.max_cost_usd),
    )


def _planned(request: TriageRequest, item: Item) -> ItemReport:
    try:
        agent_request(request, item, "item")
    except (PromptFailed, AgentError, ValueError) as failure:
        return describe_item(item, "planned", error=str(failure))
    return describe_item(item, "planned")


async def find_triage(host: Host, name: str) -> DeploymentResponse:
    if not _NAME.fullmatch(name):
        raise NoSuchTriage(name)
    async with calling_prefect():
        try:
            return await host.prefect.read_deployment_by_name(f"triage/{name}")
        except ObjectNotFound:
            raise NoSuchTriage(name) from None


def triage_request(deployment: DeploymentResponse, *, again: bool = False) -> TriageRequest:
    """Return the request of the deployment. Raises RequestRefused if it is not whole."""
    try:
        request = TriageRequest.model_validate(deployment.parameters.get("request", {}))
    except ValidationError as error:
        raise RequestRefused(f"the parameters of triage/{deployment.name}: {describe_mistake(error)}") from None
    return request.model_copy(update={"again": True}) if again else request
