"""Route GET /usage."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, Query
from fastapi.exceptions import RequestValidationError
from prefect.client.schemas.filters import FlowFilter, FlowFilterId, FlowRunFilter, FlowRunFilterExpectedStartTime
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from pydantic import BaseModel, Field

from agent.domain.result import Outcome
from agent.workspaces.agent_definitions import short_name
from api.http.dependencies import HostDep
from api.http.openapi import error_responses
from api.jobs.status import job_status
from deployments.host.host import Host
from deployments.prefect_client.calls import OPERATOR_SECONDS, PAGE_RUNS, calling_prefect

MAX_RUNS = 20_000
"""A hundred queries; a longer time is cut, and the answer says so."""

router = APIRouter(tags=["usage"])


class Spent(BaseModel):
    """Runs and what they used."""

    runs: int = 0
    failed: int = Field(default=0, description="Runs that ended with another status than `completed`.")
    cost_usd: float = 0.0
    input_tokens: int = Field(default=0, description="All tokens that the model read, cached or not.")
    output_tokens: int = 0


class SpentByDay(Spent):
    """The runs of one day and agent."""

    day: str = Field(description="The day of the run's start, as YYYY-MM-DD.")
    agent: str


class UsageReport(BaseModel):
    """What runs used, by day and agent, newest day first."""

    since: datetime
    total: Spent
    days: list[SpentByDay]
    is_cut: bool = Field(description="There were more runs than are counted here; the newest are.")


@router.get("/usage", responses=error_responses(401, 503))
async def read_usage(
    host: HostDep,
    days: Annotated[int, Query(ge=1, le=400, description="How many days back, today included.")] = 7,
    timezone: Annotated[str, Query(max_length=64, description="Where a day begins, e.g. Europe/Berlin.")] = "UTC",
) -> UsageReport:
    """What runs cost, by day and agent. A triage's cost is that of its agents' runs."""
    zone = _zone(timezone)
    today = datetime.now(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    since = today - timedelta(days=days - 1)
    spent: dict[tuple[str, str], Spent] = defaultdict(Spent)
    flow_id = await host.queue.agent_run_flow_id()
    counted = 0
    while counted < MAX_RUNS:
        runs = await _read(host, flow_id, since, counted)
        summaries = await host.store.outcomes.load_many([run.id for run in runs])
        for run in runs:
            started = run.expected_start_time or run.created or since
            _add(spent[f"{started.astimezone(zone):%Y-%m-%d}", _agent(run)], run, summaries.get(run.id))
        counted += len(runs)
        if len(runs) < PAGE_RUNS:
            break
    lines = [SpentByDay(day=day, agent=agent, **one.model_dump()) for (day, agent), one in spent.items()]
    lines.sort(key=lambda line: (line.day, line.cost_usd), reverse=True)
    return UsageReport(since=since, total=_total(lines), days=lines, is_cut=counted >= MAX_RUNS)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        message = f"{name!r} is not a time zone, e.g. Europe/Berlin"
        problem = {"type": "value_error", "loc": ("query", "timezone"), "msg": message, "input": name}
        raise RequestValidationError([problem]) from None


async def _read(host: Host, flow_id: object, since: datetime, offset: int) -> list[FlowRun]:
    due = FlowRunFilterExpectedStartTime(after_=since.astimezone(UTC), before_=datetime.now(UTC))
    async with calling_prefect(OPERATOR_SECONDS):
        return await host.prefect.read_flow_runs(
            flow_filter=FlowFilter(id=FlowFilterId(any_=[flow_id])),
            flow_run_filter=FlowRunFilter(expected_start_time=due),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=PAGE_RUNS,
            offset=offset,
        )


def _agent(run: FlowRun) -> str:
    request = run.parameters.get("request")
    return short_name(str(request.get("agent", ""))) if isinstance(request, dict) else ""


def _add(spent: Spent, run: FlowRun, summary: str | None) -> None:
    outcome = Outcome.model_validate_json(summary) if summary is not None else None
    spent.runs += 1
    spent.failed += job_status(run.state, outcome) not in ("completed", "running")
    result = outcome.result if outcome is not None else None
    if result is not None:
        # a cost that is no number must not spoil the sum of all others
        spent.cost_usd += result.cost_usd if result.cost_usd is not None and math.isfinite(result.cost_usd) else 0.0
        spent.input_tokens += result.usage.prompt_tokens
        spent.output_tokens += result.usage.output_tokens


def _total(lines: list[SpentByDay]) -> Spent:
    return Spent(
        runs=sum(line.runs for line in lines),
        failed=sum(line.failed for line in lines),
        cost_usd=sum(line.cost_usd for line in lines),
        input_tokens=sum(line.input_tokens for line in lines),
        output_tokens=sum(line.output_tokens for line in lines),
    )
