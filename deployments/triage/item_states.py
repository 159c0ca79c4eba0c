"""The state of triages and of their items, as the store and Prefect know it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.responses import DeploymentResponse
from prefect.utilities.urls import url_for
from pydantic import BaseModel, Field, JsonValue

from agent.domain.errors import RequestRefused
from deployments.host.host import Host
from deployments.pools import RETIRED
from deployments.prefect_client.calls import PAGE_RUNS, calling_prefect
from deployments.triage.on_demand import find_triage, triage_request
from store.triage_items import ItemState, KnownItem
from tasks.stored_outcome import load_outcome

MOST_SEARCHED = 20_000
"""The items that a search by text looks at, the latest first."""


class TriageState(BaseModel):
    """A triage of the register, with the number of its items by status."""

    name: str = Field(description="As in `POST /triage/{name}`.")
    description: str | None
    paused: bool
    schedules: list[str] = Field(description="The rules of the schedules that are switched on.")
    items: dict[str, int] = Field(description="`waiting`, `at work`, `done`, and `failed`, which includes `set aside`.")
    error: str | None = Field(default=None, description="Its parameters cannot be used: why.")


class TriageItemState(BaseModel):
    """What is known of one item: its status, and the last verdict with the run that gave it."""

    key: str
    title: str
    url: str | None
    status: ItemState
    attempts: int
    first_seen_at: datetime
    last_seen_at: datetime
    verdict: JsonValue = None
    judged_at: datetime | None = None
    judged_by: UUID | None = Field(default=None, description="The run that gave the verdict.")
    cost_usd: float | None = None
    run_id: UUID | None = Field(default=None, description="The last run, also where it gave no verdict.")
    run_url: str | None = None
    error: str | None = None


async def list_triages(host: Host) -> list[TriageState]:
    """Return the triages of the register. Raises PrefectUnavailable or StoreUnavailable."""
    flows = FlowFilter(name=FlowFilterName(any_=["triage"]))
    async with calling_prefect():
        found = await host.prefect.read_deployments(flow_filter=flows, limit=PAGE_RUNS)
    counts = await host.store.items.counts()
    return [_describe(one, counts) for one in sorted(found, key=lambda one: one.name) if one.version != RETIRED]


async def list_items(
    host: Host,
    name: str,
    *,
    status: ItemState | None = None,
    key: str | None = None,
    text: str | None = None,
    limit: int = 100,
    offset: int = 0,
) -> list[TriageItemState]:
    """Return the items of a triage, the latest first seen first; `text` finds them by title, key or verdict.

    Raises NoSuchTriage, RequestRefused, PrefectUnavailable or StoreUnavailable.
    """
    request = triage_request(await find_triage(host, name))
    found = await host.store.items.find(
        request.name,
        key=key,
        status=status,
        max_attempts=request.max_attempts,
        limit=limit if text is None else MOST_SEARCHED,
        offset=offset if text is None else 0,
    )
    if text is not None:
        found = [item for item in found if _contains(item, text.casefold())][offset : offset + limit]
    return [await _settled(host, item) for item in found]


def _describe(deployment: DeploymentResponse, counts: dict[str, dict[str, int]]) -> TriageState:
    error, items = None, {}
    try:
        items = counts.get(triage_request(deployment).name, {})
    except RequestRefused as refusal:
        error = str(refusal)
    return TriageState(
        name=deployment.name,
        description=deployment.description,
        paused=deployment.paused,
        schedules=[_rule(schedule.schedule) for schedule in deployment.schedules if schedule.active],
        items=items,
        error=error,
    )


def _rule(schedule: Any) -> str:
    rule = getattr(schedule, "cron", None) or getattr(schedule, "rrule", None) or getattr(schedule, "interval", "")
    return f"{rule} {getattr(schedule, 'timezone', None) or ''}".strip()


def _contains(item: KnownItem, text: str) -> bool:
    return any(text in part.casefold() for part in (item.title, item.key, item.verdict or ""))


async def _settled(host: Host, item: KnownItem) -> TriageItemState:
    """Return the item's state; the end of a run that no triage has settled yet counts, e.g. of a rerun."""
    verdict = json.loads(item.verdict) if item.verdict is not None else None
    if item.status == "at work" and (outcome := await load_outcome(host.store, item.run_id)) is not None:
        result = outcome.result
        if result is not None and result.error is None:
            verdict = result.structured if result.structured is not None else result.text
            item = replace(
                item,
                status="done",
                judged_at=result.finished_at,
                judged_by=item.run_id,
                cost_usd=result.cost_usd,
            )
        else:
            item = replace(item, status="failed", error=outcome.error or (result.error if result else None))
    return TriageItemState(
        **{name: getattr(item, name) for name in TriageItemState.model_fields if name not in ("verdict", "run_url")},
        verdict=verdict,
        run_url=url_for("flow-run", item.run_id) if item.run_id is not None else None,
    )
