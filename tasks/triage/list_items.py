"""Task: list the items of a source."""

from __future__ import annotations

import asyncio

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from tasks.retry_policy import is_retryable
from tasks.sources.listing import list_source
from tasks.triage.context import current_triage
from tasks.triage.items import Listing, read_items
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
    values, notes = await list_source(request.source, request.workspace, request.ref, run)
    listing = await asyncio.to_thread(read_items, values, request.reading)
    logger = get_run_logger()
    logger.info("%d items listed", len(listing.items))
    for trouble in (*notes, *listing.problems):
        logger.warning("%s", trouble)
    return listing.model_copy(update={"notes": notes})
