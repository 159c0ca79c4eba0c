"""Route GET /jobs/{job_id}/logs."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.sorting import LogSort
from pydantic import BaseModel

from api.http.dependencies import HostDep
from api.http.openapi import error_responses
from api.jobs.routes import find_flow_run
from deployments.prefect_client.calls import OPERATOR_SECONDS, calling_prefect

router = APIRouter(tags=["jobs"])


class LogLine(BaseModel):
    """A line of a run's log."""

    at: datetime
    level: str
    message: str


class LogPage(BaseModel):
    """Lines of a job's log, oldest first; `next` is the address of the next page."""

    lines: list[LogLine]
    next: str | None


@router.get("/jobs/{job_id}/logs", responses=error_responses(401, 404, 503))
async def read_logs(
    job_id: str,
    host: HostDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 200,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
) -> LogPage:
    """The log of a job as Prefect has it: steps, retries and warnings."""
    flow_run = await find_flow_run(host, job_id)
    async with calling_prefect(OPERATOR_SECONDS):
        found = await host.prefect.read_logs(
            LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run.id])),
            limit=limit,
            offset=offset,
            sort=LogSort.TIMESTAMP_ASC,
        )
    lines = [LogLine(at=one.timestamp, level=logging.getLevelName(one.level), message=one.message) for one in found]
    following = urlencode({"limit": limit, "offset": offset + limit})
    return LogPage(lines=lines, next=f"/jobs/{flow_run.id}/logs?{following}" if len(found) == limit else None)
