"""Routes to list schedules and to switch one on or off."""

from __future__ import annotations

import asyncio
from datetime import datetime
from uuid import UUID

from fastapi import APIRouter
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowFilter,
    FlowFilterId,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
)
from prefect.client.schemas.objects import DeploymentSchedule, FlowRun, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule
from prefect.client.schemas.sorting import FlowRunSort
from pydantic import BaseModel, Field, StrictBool

from agent.domain.result import Outcome
from api.http.dependencies import HostDep
from api.http.errors import ApiError
from api.http.json_body import JsonRoute
from api.http.openapi import error_responses
from api.jobs.status import JobStatus, job_status
from deployments.host.host import Host
from deployments.prefect_client.calls import OPERATOR_SECONDS, PAGE_RUNS, calling_prefect
from deployments.prefect_client.flow_runs import in_state

_ENDED = in_state(StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED)
_LAST_RUNS = 5

router = APIRouter(tags=["schedules"], route_class=JsonRoute)


class ScheduledRun(BaseModel):
    """An ended run of a deployment that has a schedule."""

    job_id: str
    status: JobStatus
    finished_at: datetime | None


class Schedule(BaseModel):
    """A schedule of a deployment in prefect.yaml."""

    id: str
    name: str = Field(description="The deployment, a slash, and the slug, which are unique together.")
    deployment: str
    description: str
    active: bool
    rule: str = Field(description="The cron expression with its time zone, or the interval.")
    next_at: datetime | None = Field(description="The next run; null while the schedule is off.")
    last: ScheduledRun | None = Field(description="The newest ended run of the deployment.")
    recent: list[ScheduledRun] = Field(description="The newest ended runs of the deployment, newest first.")


class ScheduleList(BaseModel):
    """All schedules of this service."""

    schedules: list[Schedule]


class ScheduleChange(BaseModel):
    """The body of PATCH /schedules/{schedule_id}."""

    active: StrictBool = Field(description="True: make runs by this schedule. It stays until prefect.yaml changes it.")


@router.get("/schedules", responses=error_responses(401, 503))
async def list_schedules(host: HostDep) -> ScheduleList:
    """The schedules with their next run and the last results of their deployments."""
    deployments = [one for one in await _deployments(host) if one.schedules]
    following = await _next_runs(host, deployments)
    recent = await asyncio.gather(*(_recent_runs(host, one.id) for one in deployments))
    found = [
        _describe(deployment, schedule, following.get(schedule.id), runs)
        for deployment, runs in zip(deployments, recent, strict=True)
        for schedule in deployment.schedules
    ]
    return ScheduleList(schedules=sorted(found, key=lambda one: one.name))


@router.patch("/schedules/{schedule_id}", responses=error_responses(401, 404, 413, 503))
async def change_schedule(schedule_id: UUID, body: ScheduleChange, host: HostDep) -> ScheduleList:
    """Switch a schedule on or off, as the switch in Prefect's UI does."""
    for deployment in await _deployments(host):
        if schedule_id in [one.id for one in deployment.schedules]:
            async with calling_prefect(OPERATOR_SECONDS):
                await host.prefect.update_deployment_schedule(deployment.id, schedule_id, active=body.active)
            return await list_schedules(host)
    raise ApiError(404, "Schedule not found")


async def _deployments(host: Host) -> list[DeploymentResponse]:
    flows = FlowFilter(id=FlowFilterId(any_=await host.queue.flow_ids()))
    async with calling_prefect(OPERATOR_SECONDS):
        return await host.prefect.read_deployments(flow_filter=flows, limit=PAGE_RUNS)


async def _next_runs(host: Host, deployments: list[DeploymentResponse]) -> dict[UUID, datetime]:
    """Return the time of the next run of each schedule, by the schedule's id."""
    if not deployments:
        return {}
    ids = [one.id for one in deployments]
    async with calling_prefect(OPERATOR_SECONDS):
        runs = await host.prefect.read_flow_runs(
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=ids)),
            flow_run_filter=FlowRunFilter(state=in_state(StateType.SCHEDULED)),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=PAGE_RUNS,
        )
    # the latest first: what is left for a schedule at the end is its next run
    return {
        run.created_by.id: run.expected_start_time
        for run in runs
        if run.created_by is not None and run.created_by.id is not None and run.expected_start_time is not None
    }


async def _recent_runs(host: Host, deployment_id: UUID) -> list[ScheduledRun]:
    async with calling_prefect(OPERATOR_SECONDS):
        runs = await host.prefect.read_flow_runs(
            flow_run_filter=FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment_id]), state=_ENDED),
            sort=FlowRunSort.END_TIME_DESC,
            limit=_LAST_RUNS,
        )
    summaries = await host.store.outcomes.load_many([run.id for run in runs])
    return [_ended(run, summaries.get(run.id)) for run in runs]


def _ended(run: FlowRun, summary: str | None) -> ScheduledRun:
    outcome = Outcome.model_validate_json(summary) if summary is not None else None
    return ScheduledRun(job_id=str(run.id), status=job_status(run.state, outcome), finished_at=run.end_time)


def _describe(
    deployment: DeploymentResponse, schedule: DeploymentSchedule, next_at: datetime | None, recent: list[ScheduledRun]
) -> Schedule:
    return Schedule(
        id=str(schedule.id),
        name=f"{deployment.name}/{schedule.slug}" if schedule.slug else deployment.name,
        deployment=deployment.name,
        description=deployment.description or "",
        active=schedule.active and not deployment.paused,
        rule=_rule(schedule),
        next_at=next_at if schedule.active else None,
        last=recent[0] if recent else None,
        recent=recent,
    )


def _rule(schedule: DeploymentSchedule) -> str:
    match schedule.schedule:
        case CronSchedule(cron=cron, timezone=zone):
            return f"{cron} ({zone or 'UTC'})"
        case IntervalSchedule(interval=interval):
            return f"every {interval}"
        case RRuleSchedule(rrule=rule):
            return rule
    return str(schedule.schedule)
