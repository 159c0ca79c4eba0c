"""The outcome of a triage that failed or was cancelled."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from prefect import State, get_run_logger
from prefect.states import AwaitingRetry, Cancelling

from agent.system.text import shorten_cause
from store.errors import StoreError
from tasks.triage.context import current_triage
from tasks.triage.models import TriageReport
from tasks.triage.report_triage import describe_failure, keep_failure


class TriageFailed(Exception):
    """Items were tried and all of them failed. The report has been published and says why."""


def conclude_triage(report: TriageReport) -> TriageReport:
    """Return the report. Raises TriageFailed if it is the report of a failed triage."""
    failure = describe_failure(report)
    if failure is not None:
        raise TriageFailed(failure)
    return report


async def conclude_broken(failure: Exception) -> None:
    """Store the reason of a triage that ended without a report."""
    try:
        await keep_failure(current_triage(), shorten_cause(str(failure)))
    except StoreError as error:
        get_run_logger().warning("the reason could not be stored: %s", error)


async def conclude_cancelled() -> State[Any]:
    """Return the state of a cancelled triage, or, if only its host stops, of one that another host continues.

    The cancellation is taken back from the asyncio task, so that the store can be awaited.
    """
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
    run = current_triage()
    if run.is_suspending:
        return AwaitingRetry(scheduled_time=datetime.now(UTC), message="its host stopped; any host continues it")
    if await run.store.outcomes.load(run.run_id) is None:
        await keep_failure(run, "cancelled")
    return Cancelling(message="cancelled, with its agents")
