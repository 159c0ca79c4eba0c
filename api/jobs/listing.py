"""GET /jobs: filters and paging."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterId,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterName,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from pydantic import BaseModel, Field

from agent.domain.result import Outcome
from api.http.dependencies import HostDep
from api.http.field_types import Moment
from api.http.openapi import error_responses
from api.jobs.models import flow_run_url
from api.jobs.status import JobStatus, job_status
from deployments.host.host import Host
from deployments.prefect_client.calls import calling_prefect

MAX_OFFSET = 2**31 - 1

_STATES: dict[JobStatus, list[StateType]] = {
    "running": [
        StateType.SCHEDULED,
        StateType.PENDING,
        StateType.RUNNING,
        StateType.PAUSED,
        StateType.CANCELLING,
    ],
    "completed": [StateType.COMPLETED],
    "failed": [StateType.FAILED],
    "timeout": [StateType.FAILED],
    "error": [StateType.CRASHED, StateType.CANCELLED, StateType.FAILED],
}

router = APIRouter(tags=["jobs"])


class JobFilter(BaseModel):
    """The query of GET /jobs; a job is listed if it matches all filters."""

    status: JobStatus | None = Field(default=None, description="Filter by status.")
    agent: str | None = Field(default=None, description="Filter by agent, as submitted.")
    tag: list[str] = Field(default=[], description="Filter by tag; with several, a job must have each of them.")
    since: Moment | None = Field(default=None, description="Due at this time or later.")
    until: Moment | None = Field(default=None, description="Due at this time or earlier; default: now.")
    limit: int = Field(default=50, ge=1, le=200, description="The page size; a page may have fewer jobs.")
    offset: int = Field(default=0, ge=0, le=MAX_OFFSET, description="Skip this many of the newest jobs.")


class ListedJob(BaseModel):
    """A job in a list; `GET /jobs/{job_id}` has all of its members."""

    job_id: str
    status: JobStatus
    state: str | None
    agent: str
    name: str
    tags: list[str]
    started_at: datetime | None
    finished_at: datetime | None
    cost_usd: float | None = None
    flow_run_url: str | None


class JobPage(BaseModel):
    """A page of jobs; `next` is the address of the next page."""

    jobs: list[ListedJob]
    next: str | None


@router.get("/jobs", responses=error_responses(401, 503))
async def list_jobs(host: HostDep, job_filter: Annotated[JobFilter, Query()]) -> JobPage:
    """The jobs, the newest first. Follow `next` until it is null; a page in between may be empty."""
    job_filter = job_filter.model_copy(update={"until": job_filter.until or datetime.now(UTC)})
    runs = await _read(host, job_filter)
    summaries = await host.store.outcomes.load_many([run.id for run in runs])
    jobs = [_describe(run, summaries.get(run.id)) for run in runs]
    chosen = [job for job in jobs if job_filter.status in (None, job.status) and job_filter.agent in (None, job.agent)]
    return JobPage(jobs=chosen, next=_next(job_filter) if len(runs) == job_filter.limit else None)


async def _read(host: Host, job_filter: JobFilter) -> list[FlowRun]:
    ids = await host.queue.flow_ids()
    async with calling_prefect():
        return await host.prefect.read_flow_runs(
            flow_filter=FlowFilter(id=FlowFilterId(any_=ids)),
            flow_run_filter=FlowRunFilter(
                state=_state(job_filter.status),
                name=FlowRunFilterName(like_=f"{job_filter.agent}: ") if job_filter.agent else None,
                tags=FlowRunFilterTags(all_=job_filter.tag) if job_filter.tag else None,
                expected_start_time=FlowRunFilterExpectedStartTime(after_=job_filter.since, before_=job_filter.until),
            ),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=job_filter.limit,
            offset=job_filter.offset,
        )


def _state(status: JobStatus | None) -> FlowRunFilterState | None:
    if status is None:
        return None
    name = FlowRunFilterStateName(any_=["TimedOut"]) if status == "timeout" else None
    return FlowRunFilterState(type=FlowRunFilterStateType(any_=_STATES[status]), name=name)


def _describe(run: FlowRun, summary: str | None) -> ListedJob:
    """Return the job of a list; `summary` is the outcome without its output."""
    outcome = Outcome.model_validate_json(summary) if summary is not None else None
    request: dict[str, Any] = run.parameters.get("request") or {}
    result = outcome.result if outcome else None
    return ListedJob(
        job_id=str(run.id),
        status=job_status(run.state, outcome),
        state=run.state.name if run.state else None,
        agent=str(request.get("agent", "")),
        name=run.name,
        tags=run.tags,
        started_at=run.created,
        finished_at=run.end_time,
        cost_usd=result.cost_usd if result else None,
        flow_run_url=flow_run_url(run.id),
    )


def _next(job_filter: JobFilter) -> str:
    members = job_filter.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return f"/jobs?{urlencode({**members, 'offset': job_filter.offset + job_filter.limit}, doseq=True)}"
