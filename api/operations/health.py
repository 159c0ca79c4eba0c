"""Whether the service lives, and whether it can work: two routes without a token."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from api.http.dependencies import HostDep
from deployments.host.host import Host
from deployments.prefect_client.calls import calling_prefect

PATIENCE_SECONDS = 2.5
PARTS = ("Prefect's API", "the store")

router = APIRouter(tags=["health"])

_log = logging.getLogger(__name__)


class Capacity(BaseModel):
    """The agents of this host."""

    agents: int
    free: int
    waiting: int
    parked: int = Field(description="Processes of the CLI that have started and wait for a run.")


class Health(BaseModel):
    """The service lives; `busy` says that an agent asked for now would have to wait."""

    status: Literal["ok"] = "ok"
    busy: bool
    capacity: Capacity
    sandbox: Literal["none"] | None = Field(
        default=None, description="Agents live without cells, with the rights of the service; its log says why."
    )
    held: Held | None = Field(default=None, description="Jobs wait until then, and why.")
    paused: list[str] | None = Field(
        default=None, description="Work pools that an operator has paused; `agents` among them: no agent starts."
    )
    disk: Literal["low"] | None = Field(
        default=None, description="There is too little room where the service writes: no work is taken."
    )


class Held(BaseModel):
    """Jobs wait for the model's provider, which refuses everybody."""

    until: datetime
    reason: str


class Readiness(BaseModel):
    """Whether what the service stands on answers; `detail` says what does not."""

    status: Literal["ready", "not ready"]
    detail: str = ""


@router.get("/health", response_model_exclude_none=True)
async def health(host: HostDep) -> Health:
    """Answer at once, from memory, and never with an error for load: a dispatcher asks every two minutes."""
    slots = host.runtime.slots
    capacity = Capacity(agents=slots.capacity, free=slots.free, waiting=slots.waiting, parked=host.runtime.warm.parked)
    paused = sorted(host.switch.paused) or None
    hold = host.hold
    held = Held(until=until, reason=hold.reason) if (until := hold.until) else None
    sandbox: Literal["none"] | None = None if host.runtime.enclosure.sandbox.bubblewrap else "none"
    disk: Literal["low"] | None = "low" if host.disk.is_low else None
    return Health(busy=host.busy, capacity=capacity, sandbox=sandbox, held=held, paused=paused, disk=disk)


@router.get("/ready", responses={503: {"model": Readiness, "description": "Something does not answer."}})
async def ready(host: HostDep, response: Response) -> Readiness:
    """Whether Prefect's API and the store answer, asked now, within 3 s."""
    asked = await asyncio.gather(_ask_prefect(host), _ask_store(host), return_exceptions=True)
    away = {part: error for part, error in zip(PARTS, asked, strict=True) if isinstance(error, Exception)}
    if not away:
        return Readiness(status="ready")
    for part, error in away.items():
        _log.warning("%s: %s: %s", part, type(error).__name__, error)
    response.status_code = 503
    # this route is open: addresses and paths are for the log
    return Readiness(status="not ready", detail=f"no answer from {' and '.join(away)}; the service's log has more")


async def _ask_prefect(host: Host) -> None:
    async with calling_prefect(PATIENCE_SECONDS):
        (await host.prefect.hello()).raise_for_status()


async def _ask_store(host: Host) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await host.store.outcomes.load(UUID(int=0))
