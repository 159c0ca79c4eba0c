"""Jobs: agents that work in the background, asked for here and looked up later."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel

from api.documentation import answers
from api.door import Door, TheDoor
from api.errors import ApiError
from api.job import Job, describe_job, flow_run_url
from api.job_request import TRIGGER, JobRequest, check_maxima
from api.job_status import is_final
from api.json_request import JsonRoute
from store.errors import InputMissing
from tasks.inputs import StoredInput

TAG = f"{TRIGGER}execute"

router = APIRouter(tags=["jobs"], route_class=JsonRoute)


class Accepted(BaseModel):
    """A job that waits, or is at work already."""

    job_id: str
    status: Literal["running"] = "running"
    flow_run_url: str | None


@router.post("/execute", status_code=202, responses=answers(401, 409, 413, 429, 503))
async def execute(asked: JobRequest, door: TheDoor, response: Response) -> Accepted:
    """Queue a run of an agent; `GET /jobs/{job_id}` tells what becomes of it."""
    check_maxima(asked, door.host.runtime.settings)
    async with door.admission.admit():
        run_id = await door.host.submit(asked.agent_request(), tags=[TAG, *asked.tags])
    response.headers["x-flow-run-id"] = str(run_id)
    return Accepted(job_id=str(run_id), flow_run_url=flow_run_url(run_id))


@router.get("/jobs/{job_id}", responses=answers(401, 404, 503), response_model_exclude_unset=True)
async def read_job(job_id: str, door: TheDoor, response: Response) -> Job:
    """What is known of a job; once its `status` is not `running` any more, all of it."""
    flow_run = await door.host.find_run(_uuid(job_id))
    if flow_run is None:
        raise _not_found()
    # Read in this order: an outcome is kept before its run's state becomes final.
    outcome = await door.host.find_outcome(flow_run.id) if is_final(flow_run.state) else None
    response.headers["x-flow-run-id"] = str(flow_run.id)
    return describe_job(flow_run, await _whole_request(door, flow_run.parameters), outcome)


async def _whole_request(door: Door, parameters: dict[str, Any]) -> dict[str, Any]:
    """The run's parameter, with a prompt that was too large for Prefect put back."""
    request = parameters.get("request")
    if not isinstance(request, dict):
        return {}
    input_id = request.get("input_id")
    if input_id is None:
        return request
    try:
        kept = StoredInput.model_validate_json(await door.host.store.inputs.load(str(input_id)))
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
