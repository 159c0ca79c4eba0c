"""Routes to pause and resume agents."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field, StrictBool

from api.http.dependencies import HostDep
from api.http.json_body import JsonRoute
from api.http.openapi import error_responses

router = APIRouter(tags=["switch"], route_class=JsonRoute)


class Pausing(BaseModel):
    """The body of POST /pause."""

    cancel: StrictBool = Field(
        default=False, description="Cancel the runs in progress as well; queued jobs stay queued."
    )


class Switched(BaseModel):
    """The paused work pools after the request."""

    paused: list[str] = Field(description="Work pools; with `agents` no agent starts.")
    cancelled: int = Field(default=0, description="The number of runs that are being cancelled.")


@router.post("/pause", responses=error_responses(401, 413, 503))
async def pause(host: HostDep, body: Pausing | None = None) -> Switched:
    """Start no agents, on any host, until `POST /resume`. Jobs can still be queued."""
    switch = host.holds.pause
    await switch.pause()
    cancelled = 0
    if body is not None and body.cancel:
        # those of this host also where Prefect does not know them: deleted there, or cut off from it
        cancelled = len(await switch.cancel_runs() | host.cancellations.cancel_all())
    return Switched(paused=sorted(switch.paused), cancelled=cancelled)


@router.post("/resume", responses=error_responses(401, 503))
async def resume(host: HostDep) -> Switched:
    """Start agents again, also those that wait for the model's provider.

    Each schedule that has missed runs makes up for one of them.
    """
    switch = host.holds.pause
    await switch.resume()
    host.holds.provider.lift()
    return Switched(paused=sorted(switch.paused))
