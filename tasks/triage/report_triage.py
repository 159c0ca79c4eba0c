"""Task: publish the report of a triage."""

from __future__ import annotations

from datetime import UTC, datetime

from prefect import get_run_logger, task
from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact
from prefect.cache_policies import NO_CACHE

from agent.domain.result import AgentResult, Outcome
from agent.system.text import shorten
from tasks.items.items import Listing
from tasks.retry_policy import is_retryable
from tasks.stored_outcome import summarize
from tasks.triage.context import TriageContext, current_triage
from tasks.triage.handling import HandlingResult
from tasks.triage.item_result import KEY_CHARACTERS
from tasks.triage.models import ItemReport, TriageReport, TriageRequest
from tasks.triage.plan_items import Plan
from tasks.triage.report_markdown import render_triage, triage_rows


@task(
    name="report_triage",
    retries=3,
    retry_delay_seconds=[0.5, 2, 5],
    retry_condition_fn=is_retryable,
    cache_policy=NO_CACHE,
    persist_result=False,
)
async def report_triage(request: TriageRequest, listing: Listing, plan: Plan, results: HandlingResult) -> TriageReport:
    """Store the report and publish it as artifacts.

    Raises StoreUnavailable if it cannot be stored. An artifact that cannot be created is only a warning.
    """
    run = current_triage()
    report = TriageReport(
        name=request.name,
        started_at=run.started_at,
        finished_at=datetime.now(UTC),
        listed=listing.values,
        left_out=listing.left_out,
        unreadable=listing.unreadable,
        handled_before=results.handled_before,
        elsewhere=results.claimed_elsewhere,
        waiting=results.left_for_next_run,
        items=_in_order(results.reports, listing),
        set_aside=plan.set_aside,
        problems=listing.problems,
        notes=[*listing.notes, *results.notes],
        max_failed_share=request.max_failed_share,
    )
    outcome = triage_outcome(report)
    await run.store.outcomes.save(run.run_id, outcome.model_dump_json(), summarize(outcome))
    try:
        await _leave_artifacts(report)
    except Exception as error:
        get_run_logger().warning("the artifacts could not be created: %s", error)
    return report


def _in_order(reports: list[ItemReport], listing: Listing) -> list[ItemReport]:
    """Sort the reports by the source's order; they come in the order in which the agents ended."""
    position = {shorten(item.key, KEY_CHARACTERS): index for index, item in enumerate(listing.items)}
    return sorted(reports, key=lambda report: position.get(report.key, len(position)))


def triage_outcome(report: TriageReport) -> Outcome:
    """Return the report as a stored outcome; the whole report is its structured answer."""
    failure = describe_failure(report)
    result = AgentResult(
        started_at=report.started_at,
        finished_at=report.finished_at,
        exit_code=None,
        output=[],
        stderr="",
        text=render_triage(report),
        structured=report.model_dump(mode="json"),
        cost_usd=report.cost_usd,
        error=failure,
    )
    return Outcome(result=result, error=failure)


def describe_failure(report: TriageReport) -> str | None:
    """Return why the whole run failed, None if it did not: all failed, or more than `max_failed_share` allows."""
    if not report.has_failed:
        return None
    failed = [item for item in report.items if item.status == "failed"]
    first = failed[0].error if failed else report.problems[0]
    tried = len(report.items) + report.unreadable
    if report.failed == tried:
        return f"all {tried} items failed; the first: {first}"
    share = f"max_failed_share allows {report.max_failed_share:.0%}"
    return f"{report.failed} of {tried} items failed, and {share}; the first: {first}"


async def keep_failure(run: TriageContext, error: str) -> None:
    """Store why there is no report."""
    outcome = Outcome(error=error)
    await run.store.outcomes.save(run.run_id, outcome.model_dump_json(), summarize(outcome))


async def _leave_artifacts(report: TriageReport) -> None:
    await acreate_markdown_artifact(render_triage(report), description=f"The report of triage {report.name}")
    if rows := triage_rows(report):
        await acreate_table_artifact(rows, description=f"The items of triage {report.name}")
