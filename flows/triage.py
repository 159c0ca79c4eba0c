"""Flow: give each new item of a source to an agent, once."""

from __future__ import annotations

import asyncio

from prefect import State, flow

from tasks.triage.conclusion import conclude_broken, conclude_cancelled, conclude_triage
from tasks.triage.context import current_triage
from tasks.triage.handle_items import handle_items
from tasks.triage.list_items import list_items
from tasks.triage.models import TriageReport, TriageRequest
from tasks.triage.plan_items import plan_items
from tasks.triage.report_triage import report_triage


@flow(name="triage", flow_run_name="triage of {request.name}", persist_result=False)
async def triage(request: TriageRequest) -> TriageReport | State[TriageReport]:
    """List the items, leave out the handled ones, have an agent handle each of the rest, and report."""
    try:
        with current_triage().cancellation.heeded():
            listing = await list_items(request)
            plan = await plan_items(request, listing)
            results = await handle_items(request, plan)
            report = await report_triage(request, listing, plan, results)
    except asyncio.CancelledError:
        return await conclude_cancelled()
    except Exception as failure:
        await conclude_broken(failure)
        raise
    if current_triage().cancellation.asked:
        return await conclude_cancelled()
    return conclude_triage(report)
