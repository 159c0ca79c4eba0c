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

from agent.domain.result import Outcome, Usage
from api.http.dependencies import HostDep
from api.http.field_types import Moment
from api.http.openapi import error_responses
from api.jobs.models import flow_run_url, run_cause
from api.jobs.phase import Phase, Waiting, iso, job_phase
from api.jobs.routes import TAG
from api.jobs.status import JobStatus, is_final, job_status
from deployments.host.host import Host
from deployments.host.run_metadata import run_trigger
from deployments.prefect_client.calls import calling_prefect
from deployments.telemetry.capacity import HostCapacity

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

_PHASES: dict[Phase, list[StateType]] = {
    "scheduled": [StateType.SCHEDULED],
    "queued": [StateType.SCHEDULED],
    "held": [StateType.SCHEDULED],
    "working": [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING],
    "waiting": [StateType.SCHEDULED, StateType.PAUSED],
    "completed": [StateType.COMPLETED],
    "failed": [StateType.FAILED],
    "cancelled": [StateType.CANCELLED],
    "timed_out": [StateType.FAILED],
    "crashed": [StateType.CRASHED],
}

router = APIRouter(tags=["jobs"])


class JobFilter(BaseModel):
    """The query of GET /jobs; a job is listed if it matches all filters."""

    status: JobStatus | None = Field(default=None, description="Filter by status.")
    phase: Phase | None = Field(default=None, description="Filter by phase.")
    agent: str | None = Field(default=None, description="Filter by agent, as submitted.")
    tag: list[str] = Field(default=[], description="Filter by tag; with several, a job must have each of them.")
    since: Moment | None = Field(default=None, description="Due at this time or later.")
    until: Moment | None = Field(
        default=None, description="Due at this time or earlier; default: now, and jobs that callers queued for later."
    )
    limit: int = Field(default=50, ge=1, le=200, description="The page size; a page may have fewer jobs.")
    offset: int = Field(default=0, ge=0, le=MAX_OFFSET, description="Skip this many of the newest jobs.")


class ListedJob(BaseModel):
    """A job in a list; `GET /jobs/{job_id}` has all of its members."""

    job_id: str
    status: JobStatus
    phase: Phase
    waiting: Waiting | None
    trigger: str
    state: str | None
    agent: str
    name: str
    tags: list[str]
    created_at: str | None
    started_at: str | None
    finished_at: str | None
    duration_seconds: float | None = None
    cost_usd: float | None = None
    model: str | None = None
    turns: int | None = None
    usage: Usage | None = None
    error: str | None = Field(default=None, description="The cause of a bad end, in one line.")
    flow_run_url: str | None


class JobPage(BaseModel):
    """A page of jobs; `next` is the address of the next page."""

    jobs: list[ListedJob]
    next: str | None


@router.get("/jobs", responses=error_responses(401, 503))
async def list_jobs(host: HostDep, job_filter: Annotated[JobFilter, Query()]) -> JobPage:
    """The jobs, the newest first. Follow `next` until it is null; a page in between may be empty."""
    now = datetime.now(UTC)
    later = await _read_later(host, job_filter, now) if job_filter.until is None and job_filter.offset == 0 else []
    page = job_filter.model_copy(update={"until": job_filter.until or now, "limit": job_filter.limit - len(later)})
    due = await _read(host, page) if page.limit else []
    runs = [*later, *due]
    summaries = await host.store.outcomes.load_many([run.id for run in runs])
    capacity = host.capacity()
    jobs = [_describe(run, summaries.get(run.id), capacity, now) for run in runs]
    following = page.model_copy(update={"offset": page.offset + len(due), "limit": job_filter.limit})
    return JobPage(
        jobs=[job for job in jobs if _is_wanted(job, job_filter)],
        next=_address(following) if len(due) == page.limit else None,
    )


def _is_wanted(job: ListedJob, job_filter: JobFilter) -> bool:
    return (
        job_filter.status in (None, job.status)
        and job_filter.phase in (None, job.phase)
        and job_filter.agent in (None, job.agent)
    )


async def _read_later(host: Host, job_filter: JobFilter, now: datetime) -> list[FlowRun]:
    """Return the jobs that callers queued for a later time, without the runs that schedules have made ahead."""
    if job_filter.status not in (None, "running") or job_filter.phase not in (None, "scheduled", "held"):
        return []
    update = {"status": None, "phase": "scheduled", "tag": [TAG, *job_filter.tag], "since": job_filter.since or now}
    return await _read(host, job_filter.model_copy(update=update))


async def _read(host: Host, job_filter: JobFilter) -> list[FlowRun]:
    ids = await host.queue.flow_ids()
    async with calling_prefect():
        return await host.prefect.read_flow_runs(
            flow_filter=FlowFilter(id=FlowFilterId(any_=ids)),
            flow_run_filter=FlowRunFilter(
                state=_state(job_filter),
                name=FlowRunFilterName(like_=f"{job_filter.agent}: ") if job_filter.agent else None,
                tags=FlowRunFilterTags(all_=job_filter.tag) if job_filter.tag else None,
                expected_start_time=FlowRunFilterExpectedStartTime(after_=job_filter.since, before_=job_filter.until),
            ),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=job_filter.limit,
            offset=job_filter.offset,
        )


def _state(job_filter: JobFilter) -> FlowRunFilterState | None:
    """Return the narrowest filter that Prefect has for the status and the phase; None: all states."""
    types = set(StateType)
    if job_filter.status is not None:
        types &= set(_STATES[job_filter.status])
    if job_filter.phase is not None:
        types &= set(_PHASES[job_filter.phase])
    if types == set(StateType):
        return None
    timed_out = job_filter.status == "timeout" or job_filter.phase == "timed_out"
    name = FlowRunFilterStateName(any_=["TimedOut"]) if timed_out else None
    return FlowRunFilterState(type=FlowRunFilterStateType(any_=sorted(types)), name=name)


def _describe(run: FlowRun, summary: str | None, capacity: HostCapacity, now: datetime) -> ListedJob:
    """Return the job of a list; `summary` is the outcome without its output."""
    outcome = Outcome.model_validate_json(summary) if summary is not None else None
    request: dict[str, Any] = run.parameters.get("request") or {}
    result = outcome.result if outcome else None
    phase, waiting = job_phase(run, capacity, now)
    finished_at = result.finished_at if result is not None else run.end_time
    return ListedJob(
        job_id=str(run.id),
        status=job_status(run.state, outcome),
        phase=phase,
        waiting=waiting,
        trigger=run_trigger(run),
        state=run.state.name if run.state else None,
        agent=str(request.get("agent", "")),
        name=run.name,
        tags=run.tags,
        created_at=iso(run.created) or None,
        started_at=iso(run.created) or None,
        finished_at=iso(finished_at) or None if is_final(run.state) else None,
        duration_seconds=result.duration_seconds if result else None,
        cost_usd=result.cost_usd if result else None,
        model=result.model if result else None,
        turns=result.turns if result else None,
        usage=result.usage if result else None,
        error=_error(run, outcome),
        flow_run_url=flow_run_url(run.id),
    )


def _error(run: FlowRun, outcome: Outcome | None) -> str | None:
    if not is_final(run.state) or (run.state is not None and run.state.type is StateType.COMPLETED):
        return None
    result = outcome.result if outcome else None
    return (result.error if result and result.error else None) or run_cause(run, outcome or Outcome()) or None


def _address(job_filter: JobFilter) -> str:
    members = job_filter.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return f"/jobs?{urlencode({**members, 'offset': job_filter.offset}, doseq=True)}"
