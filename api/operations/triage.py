"""Routes to start or plan a triage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field, StrictBool

from agent.system.text import shorten_cause
from api.http.dependencies import HostDep
from api.http.errors import ApiError
from api.http.json_body import JsonRoute
from api.http.openapi import error_responses
from api.jobs.models import flow_run_url
from api.jobs.routes import Accepted
from deployments.host.run_metadata import TRIGGER
from deployments.triage.on_demand import NoSuchTriage, plan_triage, start_triage
from tasks.sources.errors import SourceFailed
from tasks.triage.models import TriageReport

router = APIRouter(tags=["triage"], route_class=JsonRoute)


class TriageStart(BaseModel):
    """The body of POST /triage."""

    again: StrictBool = Field(
        default=False, description="Include items that were handled before, and those that were given up on."
    )


@router.post("/triage/{name}", status_code=202, responses=error_responses(401, 404, 413, 503))
async def run_triage(name: str, host: HostDep, response: Response, body: TriageStart | None = None) -> Accepted:
    """Start a triage of prefect.yaml now. Its report is `structured` in `GET /jobs/{job_id}`."""
    async with _translated_errors():
        again = body is not None and body.again
        run_id = await start_triage(host, name, again=again, tags=[f"{TRIGGER}api"])
    response.headers["x-flow-run-id"] = str(run_id)
    response.headers["location"] = f"/jobs/{run_id}"
    return Accepted(job_id=str(run_id), flow_run_url=flow_run_url(run_id))


@router.post("/triage/{name}/plan", responses=error_responses(401, 404, 413, 503))
async def dry_run(name: str, host: HostDep, body: TriageStart | None = None) -> TriageReport:
    """The items that a run would handle now, and its maximum cost. No agent starts, and nothing is recorded."""
    async with _translated_errors():
        return await plan_triage(host, name, again=body is not None and body.again)


@asynccontextmanager
async def _translated_errors() -> AsyncIterator[None]:
    try:
        yield
    except NoSuchTriage:
        raise ApiError(404, "Triage not found: prefect.yaml has no deployment of that name") from None
    except SourceFailed as failure:
        raise ApiError(503, shorten_cause(str(failure)), headers={"retry-after": "30"}) from None
