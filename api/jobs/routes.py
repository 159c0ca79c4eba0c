"""Routes /execute and /jobs."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from prefect.client.schemas.objects import FlowRun
from pydantic import BaseModel, Field

from agent.domain.sealing import unseal
from api.http.dependencies import HostDep
from api.http.errors import ApiError
from api.http.json_body import JsonRoute
from api.http.openapi import error_responses
from api.jobs.admission import AdmissionDep
from api.jobs.idempotency import submit_once
from api.jobs.known_agents import KnownAgentsDep
from api.jobs.models import Job, describe_job, flow_run_url
from api.jobs.request import JobRequest, check_maxima, check_workspace, ignored_members
from api.jobs.status import is_final
from deployments.host.host import Host
from deployments.host.job_queue import JobOptions
from deployments.host.run_metadata import TRIGGER
from deployments.prefect_client.calls import PrefectUnavailable
from store.errors import InputMissing
from tasks.agent_run.stored_input import StoredInput
from tasks.stored_outcome import load_outcome

TAG = f"{TRIGGER}execute"

Wait = Annotated[float, Query(ge=0, le=300, description="Answer when the job is over, or after this many seconds.")]

_FIRST_POLL_SECONDS = 0.1
_POLL_SECONDS = 1.0

router = APIRouter(tags=["jobs"], route_class=JsonRoute)


class Accepted(BaseModel):
    """The job that a request has queued."""

    job_id: str
    status: Literal["running"] = "running"
    flow_run_url: str | None


class AcceptedJob(Accepted):
    """The job that POST /execute has queued."""

    warnings: list[str] = Field(default=[], description="Members of the request that are unknown, and ignored.")


@router.post(
    "/jobs",
    status_code=202,
    responses=error_responses(401, 409, 413, 429, 503),
    name="create_job",
    response_model_exclude_unset=True,
)
@router.post(
    "/execute", status_code=202, responses=error_responses(401, 409, 413, 429, 503), response_model_exclude_unset=True
)
async def execute(
    body: JobRequest,
    host: HostDep,
    admission: AdmissionDep,
    known_agents: KnownAgentsDep,
    request: Request,
    response: Response,
) -> AcceptedJob:
    """Queue a run of an agent; `GET /jobs/{job_id}`, which `Location` names, has its status and result.

    With an `Idempotency-Key` the same request returns the same job, for a day. An agent that does not exist is refused.
    """
    check_maxima(body, host.runtime.settings)
    check_workspace(body, host.runtime.settings)

    async def submit(key: str | None) -> UUID:
        options = JobOptions(tags=[TAG, *body.tags], priority=body.priority, run_at=body.run_at, key=key)
        await known_agents.check(body.agent_request())
        async with admission.admit():
            return await host.queue.submit(body.agent_request(), options)

    run_id = await submit_once(host, request, body, submit)
    response.headers["x-flow-run-id"] = str(run_id)
    response.headers["location"] = f"/jobs/{run_id}"
    accepted: dict[str, Any] = {"job_id": str(run_id), "status": "running", "flow_run_url": flow_run_url(run_id)}
    if warnings := ignored_members(await request.json()):
        accepted["warnings"] = warnings
    return AcceptedJob.model_validate(accepted)


@router.get("/jobs/{job_id}", responses=error_responses(401, 404, 503), response_model_exclude_unset=True)
async def read_job(job_id: str, host: HostDep, response: Response, wait: Wait = 0) -> Job:
    """The state of a job; complete once its `status` is not `running`."""
    job = await wait_for_job(host, job_id, wait)
    response.headers["x-flow-run-id"] = job.job_id
    return job


async def find_job(host: Host, job_id: str) -> Job:
    """Return the job as it is now. Raises ApiError 404."""
    flow_run = await find_flow_run(host, job_id)
    # read in this order: an outcome is stored before its run's state becomes final
    outcome = await load_outcome(host.store, flow_run.id) if is_final(flow_run.state) else None
    request = await full_request(host, flow_run.parameters)
    return describe_job(flow_run, request, outcome, host.capacity())


async def wait_for_job(host: Host, job_id: str, seconds: float) -> Job:
    """Return the job once it is over, or after `seconds`. Raises ApiError 404.

    While Prefect is too busy to answer, the caller waits on; PrefectUnavailable is raised at the end of the wait.
    """
    deadline = time.monotonic() + seconds
    pause_seconds = _FIRST_POLL_SECONDS
    while True:
        left = deadline - time.monotonic()
        try:
            if left <= 0 or is_final((await find_flow_run(host, job_id)).state):
                return await find_job(host, job_id)
        except PrefectUnavailable:
            if left <= 0:
                raise
        await asyncio.sleep(min(pause_seconds, max(0.0, left)))
        pause_seconds = min(pause_seconds * 1.3, _POLL_SECONDS)


async def find_flow_run(host: Host, job_id: str) -> FlowRun:
    """Return the flow run of a job. Raises ApiError 404."""
    run_id = _uuid(job_id)
    # a run that was deleted in Prefect is a job as long as its agent is at work here
    flow_run = await host.queue.find(run_id) or host.cancellations.running(run_id)
    if flow_run is None:
        raise _not_found()
    return flow_run


async def full_request(host: Host, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the run's request; a prompt that was too large for Prefect is read from the store."""
    request = parameters.get("request")
    if not isinstance(request, dict):
        return {}
    with suppress(ValueError):  # the flow itself reports what cannot be opened
        request = unseal(request)
    input_id = request.get("input_id")
    if input_id is None:
        return request
    try:
        kept = StoredInput.model_validate_json(await host.store.inputs.load(str(input_id)))
    except InputMissing:
        return request
    return {**request, "prompt": kept.content} if isinstance(kept.content, str) else request


def _uuid(job_id: str) -> UUID:
    try:
        return UUID(job_id)
    except ValueError:
        raise _not_found() from None


def _not_found() -> ApiError:
    return ApiError(404, "Job not found")
