"""Triages: started out of turn, or only planned."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field, StrictBool

from agent.outcome import one_line
from agent.triage_report import TriageReport
from api.documentation import answers
from api.door import TheDoor
from api.errors import ApiError
from api.job import flow_run_url
from api.jobs import Accepted
from api.json_request import JsonRoute
from deployments.run_marks import TRIGGER
from deployments.triages import NoSuchTriage, plan_triage, start_triage
from tasks.source_error import SourceFailed

router = APIRouter(tags=["triage"], route_class=JsonRoute)


class Asked(BaseModel):
    """How a triage is to be run this once."""

    again: StrictBool = Field(default=False, description="Handle what was handled, or set aside, once more.")


@router.post("/triage/{name}", status_code=202, responses=answers(401, 404, 413, 503))
async def run_triage(name: str, door: TheDoor, response: Response, asked: Asked | None = None) -> Accepted:
    """Start a triage of the register now; its report is `structured` in `GET /jobs/{job_id}`."""
    async with _explained():
        again = asked is not None and asked.again
        run_id = await start_triage(door.host, name, again=again, tags=[f"{TRIGGER}api"])
    response.headers["x-flow-run-id"] = str(run_id)
    return Accepted(job_id=str(run_id), flow_run_url=flow_run_url(run_id))


@router.post("/triage/{name}/plan", responses=answers(401, 404, 413, 503))
async def dry_run(name: str, door: TheDoor, asked: Asked | None = None) -> TriageReport:
    """What a run would do now, and what it may cost at most; no agent is started, nothing is remembered."""
    async with _explained():
        return await plan_triage(door.host, name, again=asked is not None and asked.again)


@asynccontextmanager
async def _explained() -> AsyncIterator[None]:
    try:
        yield
    except NoSuchTriage:
        raise ApiError(404, "Triage not found: the register has no deployment of that name") from None
    except SourceFailed as failure:
        raise ApiError(503, one_line(str(failure)), headers={"retry-after": "30"}) from None
