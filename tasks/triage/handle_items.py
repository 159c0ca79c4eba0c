"""Task: have each planned item handled by an agent."""

from __future__ import annotations

import asyncio

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from agent.system.concurrency import run_to_completion
from tasks.progress_artifact import shown_live
from tasks.triage.context import current_triage
from tasks.triage.handling import HandlingResult, ItemHandling
from tasks.triage.models import TriageRequest
from tasks.triage.plan_items import Plan


@task(name="handle_items", cache_policy=NO_CACHE, persist_result=False)
async def handle_items(request: TriageRequest, plan: Plan) -> HandlingResult:
    """Start a run for each item that no other triage has claimed, within the caps, and wait for all of them.

    Not retried as a whole; each call to Prefect or the store inside is. A cancellation cancels the agents, too,
    unless the host stops.
    """
    run = current_triage()
    handling = ItemHandling(request, plan, run, get_run_logger())
    try:
        async with shown_live(handling.progress, after_seconds=10, every_seconds=5):
            return await handling.run()
    except ExceptionGroup as group:
        raise group.exceptions[0] from group
    except asyncio.CancelledError:
        if not run.is_suspending:
            await run_to_completion(handling.abandon())
        raise
