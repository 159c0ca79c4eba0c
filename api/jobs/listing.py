"""Lists jobs: the newest first, by what they came to, whom they were for, and when."""

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
from api.http.openapi import answers
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
    """Which jobs are listed; all of it must be so."""

    status: JobStatus | None = Field(default=None, description="What they came to, or that they came to nothing yet.")
    agent: str | None = Field(default=None, description="Whom they were for, as it was submitted.")
    tag: list[str] = Field(default=[], description="Tags that they have, each of them.")
    since: Moment | None = Field(default=None, description="Due at that moment or later.")
    until: Moment | None = Field(default=None, description="Due at that moment or before; now, unless said.")
    limit: int = Field(default=50, ge=1, le=200, description="So many at most; a page may have fewer.")
    offset: int = Field(default=0, ge=0, le=MAX_OFFSET, description="So many of the newest are left out.")


class ListedJob(BaseModel):
    """A job in short; `GET /jobs/{job_id}` has all of it."""

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
    """Some jobs; `next` is where there may be more."""

    jobs: list[ListedJob]
    next: str | None


@router.get("/jobs", responses=answers(401, 503))
async def list_jobs(host: HostDep, wanted: Annotated[JobFilter, Query()]) -> JobPage:
    """The newest first; follow `next` until it is null, a page in between may be empty."""
    wanted = wanted.model_copy(update={"until": wanted.until or datetime.now(UTC)})
    runs = await _read(host, wanted)
    summaries = await host.store.outcomes.load_many([run.id for run in runs])
    jobs = [_describe(run, summaries.get(run.id)) for run in runs]
    chosen = [job for job in jobs if wanted.status in (None, job.status) and wanted.agent in (None, job.agent)]
    return JobPage(jobs=chosen, next=_next(wanted) if len(runs) == wanted.limit else None)


async def _read(host: Host, wanted: JobFilter) -> list[FlowRun]:
    ids = [flow_id for flow_id in (await host.flow_id(), await host.triage_flow_id()) if flow_id]
    async with calling_prefect():
        return await host.prefect.read_flow_runs(
            flow_filter=FlowFilter(id=FlowFilterId(any_=ids)),
            flow_run_filter=FlowRunFilter(
                state=_state(wanted.status),
                name=FlowRunFilterName(like_=f"{wanted.agent}: ") if wanted.agent else None,
                tags=FlowRunFilterTags(all_=wanted.tag) if wanted.tag else None,
                expected_start_time=FlowRunFilterExpectedStartTime(after_=wanted.since, before_=wanted.until),
            ),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=wanted.limit,
            offset=wanted.offset,
        )


def _state(status: JobStatus | None) -> FlowRunFilterState | None:
    if status is None:
        return None
    name = FlowRunFilterStateName(any_=["TimedOut"]) if status == "timeout" else None
    return FlowRunFilterState(type=FlowRunFilterStateType(any_=_STATES[status]), name=name)


def _describe(run: FlowRun, summary: str | None) -> ListedJob:
    """`summary` is the outcome without what makes it large."""
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


def _next(wanted: JobFilter) -> str:
    members = wanted.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return f"/jobs?{urlencode({**members, 'offset': wanted.offset + wanted.limit}, doseq=True)}"
