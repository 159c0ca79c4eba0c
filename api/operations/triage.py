"""Routes of triages: their state, the state of their items, a run now, a plan."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from agent.domain.request import AgentRequest
from agent.system.text import shorten_cause
from api.http.dependencies import HostDep
from api.http.errors import ApiError
from api.http.json_body import JsonRoute
from api.http.openapi import error_responses
from api.jobs.models import flow_run_url
from api.jobs.routes import Accepted
from deployments.host.run_metadata import TRIGGER
from deployments.triage.item_states import TriageItemState, TriageState, list_items, list_triages
from deployments.triage.on_demand import NoSuchTriage, plan_triage, start_triage
from deployments.triage.one_item import NoSuchItem, read_item, replay_item
from store.triage_items import ItemState
from tasks.sources.errors import SourceFailed
from tasks.triage.models import TriageReport

router = APIRouter(tags=["triage"], route_class=JsonRoute)


class TriageStart(BaseModel):
    """The body of POST /triage; unknown members are refused: they would run, and cost, more than was meant."""

    model_config = ConfigDict(extra="forbid")

    again: StrictBool = Field(
        default=False, description="Include items that were handled before, and those that were given up on."
    )
    limit: int | None = Field(default=None, ge=1, le=1000, description="At most so many items; max_items counts too.")
    keys: list[str] = Field(default=[], max_length=1000, description="Only the items of these keys.")


class Triages(BaseModel):
    """The triages of the register."""

    triages: list[TriageState]


class TriageItemPage(BaseModel):
    """A page of a triage's items; `next` is the address of the next page."""

    items: list[TriageItemState]
    next: str | None


class ItemFilter(BaseModel):
    """The query of GET /triage/{name}/items; an item is listed if it matches all filters."""

    status: ItemState | None = Field(default=None, description="Filter by status.")
    key: str | None = Field(default=None, description="The item of this key alone.")
    q: str | None = Field(default=None, min_length=1, max_length=200, description="Text of title, key or verdict.")
    limit: int = Field(default=100, ge=1, le=1000, description="The page size.")
    offset: int = Field(default=0, ge=0, le=2**31 - 1, description="Skip this many of the latest items.")


@router.get("/triage", responses=error_responses(401, 503))
async def read_triages(host: HostDep) -> Triages:
    """The triages of prefect.yaml, with the number of their items by status."""
    return Triages(triages=await list_triages(host))


@router.get("/triage/{name}/items", responses=error_responses(401, 404, 503))
async def read_items(name: str, host: HostDep, item_filter: Annotated[ItemFilter, Query()]) -> TriageItemPage:
    """What is known of a triage's items, the latest first: status, last verdict and its run, attempts."""
    async with _translated_errors():
        found = await list_items(
            host,
            name,
            status=item_filter.status,
            key=item_filter.key,
            text=item_filter.q,
            limit=item_filter.limit,
            offset=item_filter.offset,
        )
    return TriageItemPage(items=found, next=_next(name, item_filter) if len(found) == item_filter.limit else None)


def _next(name: str, item_filter: ItemFilter) -> str:
    members = item_filter.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    offset = item_filter.offset + item_filter.limit
    return f"/triage/{quote(name, safe='')}/items?{urlencode({**members, 'offset': offset})}"


class ItemChoice(BaseModel):
    """The body of POST /triage/{name}/prompt and /replay."""

    model_config = ConfigDict(extra="forbid")

    key: str = Field(min_length=1, description="The item's key, or the end of it: `42` for `…/issues/42`.")
    prompt: str | None = Field(default=None, description="A template in place of the register's.")


class ItemPrompt(BaseModel):
    """The request of the run that would judge an item."""

    key: str
    title: str
    url: str | None
    request: AgentRequest


@router.post("/triage/{name}/prompt", responses=error_responses(401, 404, 413, 503))
async def show_prompt(name: str, host: HostDep, body: ItemChoice) -> ItemPrompt:
    """The prompt and the limits with which an agent would judge an item now. No agent starts."""
    async with _translated_errors():
        found = await read_item(host, name, body.key, body.prompt)
    return ItemPrompt(key=found.item.key, title=found.item.title, url=found.item.url, request=found.request)


@router.post("/triage/{name}/replay", status_code=202, responses=error_responses(401, 404, 413, 503))
async def replay(name: str, host: HostDep, response: Response, body: ItemChoice) -> Accepted:
    """Judge an item once more, for comparison: what was handled, and what is known of the item, stay as they are."""
    async with _translated_errors():
        run_id = await replay_item(host, name, body.key, body.prompt, [f"{TRIGGER}api"])
    response.headers["x-flow-run-id"] = str(run_id)
    response.headers["location"] = f"/jobs/{run_id}"
    return Accepted(job_id=str(run_id), flow_run_url=flow_run_url(run_id))


@router.post("/triage/{name}", status_code=202, responses=error_responses(401, 404, 413, 503))
async def run_triage(name: str, host: HostDep, response: Response, body: TriageStart | None = None) -> Accepted:
    """Start a triage of prefect.yaml now. Its report is `structured` in `GET /jobs/{job_id}`."""
    async with _translated_errors():
        again = body is not None and body.again
        limit, only = (body.limit, body.keys) if body is not None else (None, [])
        run_id = await start_triage(host, name, again=again, tags=[f"{TRIGGER}api"], limit=limit, only=only)
    response.headers["x-flow-run-id"] = str(run_id)
    response.headers["location"] = f"/jobs/{run_id}"
    return Accepted(job_id=str(run_id), flow_run_url=flow_run_url(run_id))


@router.post("/triage/{name}/plan", responses=error_responses(401, 404, 413, 503))
async def dry_run(name: str, host: HostDep, body: TriageStart | None = None) -> TriageReport:
    """The items that a run would handle now, and its maximum cost. No agent starts, and nothing is recorded."""
    async with _translated_errors():
        return await plan_triage(host, name, again=body is not None and body.again)


@asynccontextmanager
async def _translated_errors() -> AsyncIterator[None]:
    try:
        yield
    except NoSuchTriage:
        raise ApiError(404, "Triage not found: prefect.yaml has no deployment of that name") from None
    except NoSuchItem as missing:
        raise ApiError(404, f"Item not found: {missing}") from None
    except SourceFailed as failure:
        raise ApiError(503, shorten_cause(str(failure)), headers={"retry-after": "30"}) from None
