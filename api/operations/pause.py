"""The kill switch: one call, and no agent starts any more."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field, StrictBool

from api.http.dependencies import HostDep
from api.http.json_body import JsonRoute
from api.http.openapi import answers

router = APIRouter(tags=["switch"], route_class=JsonRoute)


class Pausing(BaseModel):
    """How much is to stop."""

    cancel: StrictBool = Field(default=False, description="Also end what is at work; what waits goes on waiting.")


class Switched(BaseModel):
    """What is paused since."""

    paused: list[str] = Field(description="Work pools; `agents` among them: no agent starts.")
    cancelled: int = Field(default=0, description="How many runs were told to end.")


@router.post("/pause", responses=answers(401, 413, 503))
async def pause(host: HostDep, asked: Pausing | None = None) -> Switched:
    """Start no agent any more, on any host, whoever asks, until `POST /resume`; jobs may still be queued."""
    switch = host.switch
    await switch.pause()
    cancelled = 0
    if asked is not None and asked.cancel:
        cancelled = await switch.cancel_runs() + host.cancel_inline()
    return Switched(paused=sorted(switch.paused), cancelled=cancelled)


@router.post("/resume", responses=answers(401, 503))
async def resume(host: HostDep) -> Switched:
    """Start agents again; of what each schedule has missed meanwhile, one run is made up for."""
    await host.switch.resume()
    return Switched(paused=sorted(host.switch.paused))
