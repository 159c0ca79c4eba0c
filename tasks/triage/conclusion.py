"""How a triage ends when it does not end well."""

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
    """Something was tried, and not one item came to anything; the report says why."""


def conclude_triage(report: TriageReport) -> TriageReport:
    """The report, if it is one of a good ending; raises TriageFailed."""
    failure = describe_failure(report)
    if failure is not None:
        raise TriageFailed(failure)
    return report


async def conclude_broken(failure: Exception) -> None:
    """Keep the reason for a triage that did not come to a report."""
    try:
        await keep_failure(current_triage(), shorten_cause(str(failure)))
    except StoreError as error:
        get_run_logger().warning("the reason could not be kept: %s", error)


async def conclude_cancelled() -> State[Any]:
    """The state of a triage that is broken off: cancelled, or, where only its host stops, to be carried on.

    The cancellation is taken back from the asyncio task, so that what is still to be done can be awaited.
    """
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
    run = current_triage()
    if run.stopping:
        return AwaitingRetry(scheduled_time=datetime.now(UTC), message="its host stopped; any host goes on with it")
    if await run.store.outcomes.load(run.run_id) is None:
        await keep_failure(run, "cancelled")
    return Cancelling(message="cancelled; its agents are ended, too")
