"""Triages: started out of turn, or only planned."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field, StrictBool

from agent.system.text import shorten_cause
from api.http.dependencies import HostDep
from api.http.errors import ApiError
from api.http.json_body import JsonRoute
from api.http.openapi import answers
from api.jobs.models import flow_run_url
from api.jobs.routes import Accepted
from deployments.host.run_metadata import TRIGGER
from deployments.triage.on_demand import NoSuchTriage, plan_triage, start_triage
from tasks.sources.errors import SourceFailed
from tasks.triage.models import TriageReport

router = APIRouter(tags=["triage"], route_class=JsonRoute)


class TriageStart(BaseModel):
    """How a triage is to be run this once."""

    again: StrictBool = Field(default=False, description="Handle what was handled, or set aside, once more.")


@router.post("/triage/{name}", status_code=202, responses=answers(401, 404, 413, 503))
async def run_triage(name: str, host: HostDep, response: Response, asked: TriageStart | None = None) -> Accepted:
    """Start a triage of the register now; its report is `structured` in `GET /jobs/{job_id}`."""
    async with _explained():
        again = asked is not None and asked.again
        run_id = await start_triage(host, name, again=again, tags=[f"{TRIGGER}api"])
    response.headers["x-flow-run-id"] = str(run_id)
    return Accepted(job_id=str(run_id), flow_run_url=flow_run_url(run_id))


@router.post("/triage/{name}/plan", responses=answers(401, 404, 413, 503))
async def dry_run(name: str, host: HostDep, asked: TriageStart | None = None) -> TriageReport:
    """What a run would do now, and what it may cost at most; no agent is started, nothing is remembered."""
    async with _explained():
        return await plan_triage(host, name, again=asked is not None and asked.again)


@asynccontextmanager
async def _explained() -> AsyncIterator[None]:
    try:
        yield
    except NoSuchTriage:
        raise ApiError(404, "Triage not found: the register has no deployment of that name") from None
    except SourceFailed as failure:
        raise ApiError(503, shorten_cause(str(failure)), headers={"retry-after": "30"}) from None
