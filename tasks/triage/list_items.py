"""Task: list the items of a source."""

from __future__ import annotations

import asyncio
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from tasks.items.items import Listing, read_items, refuse_unreadable
from tasks.items.prompt import template_members
from tasks.retry_policy import is_retryable
from tasks.sources.expressions import missing_members
from tasks.sources.listing import list_source
from tasks.triage.context import current_triage
from tasks.triage.models import TriageRequest


@task(
    name="list_items",
    retries=2,
    retry_delay_seconds=[1, 5],
    retry_condition_fn=is_retryable,
    cache_policy=NO_CACHE,
    persist_result=False,
)
async def list_items(request: TriageRequest) -> Listing:
    """List the items that the source has now. Raises SourceFailed or WorkspaceError."""
    run = current_triage()
    values, notes = await list_source(request.source, request.workspace, request.ref, run, run.files)
    listing = await asyncio.to_thread(make_listing, values, request, notes)
    logger = get_run_logger()
    logger.info("%d items listed, %d left out by the filter", len(listing.items), listing.left_out)
    for trouble in (*listing.notes, *listing.problems):
        logger.warning("%s", trouble)
    return listing


def make_listing(values: list[Any], request: TriageRequest, notes: list[str]) -> Listing:
    """Make the items of the values, and the notes of the listing. Raises SourceFailed if nothing can be judged."""
    reading = request.reading
    listing = read_items(values, reading, asked=request.own_reading)
    refuse_unreadable(listing, values, reading)
    missing = missing_members(template_members(request.prompt), [item.value for item in listing.items])
    if request.only:
        wanted = set(request.only)
        chosen = [item for item in listing.items if item.key in wanted]
        listing = listing.model_copy(
            update={"items": chosen, "left_out": listing.left_out + len(listing.items) - len(chosen)}
        )
        notes = [*notes, *(f"there is no item {key!r} now" for key in wanted - {item.key for item in chosen})]
    unknown = [f"prompt: no item has `{member}`" for member in missing]
    return listing.model_copy(update={"notes": [*notes, *listing.notes, *unknown]})
