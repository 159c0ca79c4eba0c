"""Routes to list and download work that agents left unpushed."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field
from starlette.background import BackgroundTask

from api.http.dependencies import HostDep
from api.http.errors import ApiError
from api.http.openapi import Document, error_responses

_BINARY = "application/octet-stream"
_BUNDLE: Document = {
    "description": "A git bundle: `git fetch FILE 'refs/agent-runs/*:refs/heads/agent-run/*'` reads it.",
    "content": {_BINARY: {"schema": {"type": "string", "format": "binary"}}},
}

router = APIRouter(tags=["kept work"])


class KeptRun(BaseModel):
    """The unpushed work of one run, kept in a mirror of this host."""

    job_id: str
    workspace: str
    ref: str
    kept_at: datetime
    subject: str = Field(description="How many commits are kept, and whether there are uncommitted changes.")


class KeptRuns(BaseModel):
    """The kept work on this host, newest first."""

    kept: list[KeptRun]


@router.get("/kept", responses=error_responses(401, 503))
async def list_kept_work(host: HostDep) -> KeptRuns:
    """The unpushed work of runs that this host keeps, for KEPT_WORK_DAYS."""
    found = await host.runtime.workspaces.kept()
    return KeptRuns(
        kept=[
            KeptRun(
                job_id=one.run_id,
                workspace=one.workspace,
                ref=one.ref,
                kept_at=one.kept_at,
                subject=one.subject.removeprefix("Kept from a run: "),
            )
            for one in found
        ]
    )


@router.get(
    "/kept/{job_id}/bundle", response_class=Response, responses={200: _BUNDLE, **error_responses(401, 404, 503)}
)
async def download_kept_work(job_id: str, host: HostDep) -> Response:
    """The kept work of a run as a git bundle: its commits, and its uncommitted changes as one commit on top."""
    bundle = await host.runtime.workspaces.bundle(job_id)
    if bundle is None:
        raise ApiError(404, "Nothing is kept of this job on this host")
    done = BackgroundTask(bundle.unlink, missing_ok=True)
    return FileResponse(bundle, media_type=_BINARY, filename=f"{job_id}.bundle", background=done)
