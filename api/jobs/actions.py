"""Cancel and retry."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import ValidationError

from agent.domain.request import AgentRequest
from api.http.dependencies import HostDep
from api.http.errors import ApiError
from api.http.json_body import JsonRoute
from api.http.openapi import error_responses
from api.jobs.admission import AdmissionDep
from api.jobs.models import Job, flow_run_url
from api.jobs.routes import TAG, Accepted, find_flow_run, find_job, full_request
from api.jobs.status import is_final
from deployments.host.job_queue import JobOptions
from deployments.host.run_metadata import TRIAGE_TAG, TRIGGER

router = APIRouter(tags=["jobs"], route_class=JsonRoute)


@router.delete(
    "/jobs/{job_id}", responses=error_responses(401, 404, 503), response_model_exclude_unset=True, name="delete_job"
)
@router.post("/jobs/{job_id}/cancel", responses=error_responses(401, 404, 503), response_model_exclude_unset=True)
async def cancel_job(job_id: str, host: HostDep, response: Response) -> Job:
    """Cancel a job. Its `status` leaves `running` once none of its processes runs.

    A job that is over is returned unchanged, and its record stays.
    """
    flow_run = await find_flow_run(host, job_id)
    if not is_final(flow_run.state):
        await host.cancellations.cancel(flow_run.id)
    response.headers["x-flow-run-id"] = str(flow_run.id)
    return await find_job(host, job_id)


@router.post("/jobs/{job_id}/rerun", status_code=202, responses=error_responses(401, 404, 409, 429, 503))
async def rerun_job(job_id: str, host: HostDep, admission: AdmissionDep, response: Response) -> Accepted:
    """Queue a new job with the request of an earlier one."""
    flow_run = await find_flow_run(host, job_id)
    parameters = await full_request(host, flow_run.parameters)
    if flow_run.flow_id != await host.queue.agent_run_flow_id() or not parameters:
        raise ApiError(409, "this job is a triage; start it again with POST /triage/NAME")
    try:
        request = AgentRequest.model_validate({**parameters, "input_id": None})
    except ValidationError as error:
        raise ApiError(409, f"this job's request is not valid any more: {_first_reason(error)}") from None
    kept = [tag for tag in flow_run.tags if not tag.startswith(TRIGGER)]
    async with admission.admit():
        run_id: UUID = await host.queue.submit(request, JobOptions(tags=[TAG, *kept]))
    if any(tag.startswith(TRIAGE_TAG) for tag in flow_run.tags):
        await host.store.handled.follow_rerun(flow_run.id, run_id)
    response.headers["x-flow-run-id"] = str(run_id)
    response.headers["location"] = f"/jobs/{run_id}"
    return Accepted(job_id=str(run_id), flow_run_url=flow_run_url(run_id))


def _first_reason(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
