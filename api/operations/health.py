"""Routes /health and /ready."""

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
from deployments.telemetry.capacity import HostCapacity

TIMEOUT_SECONDS = 2.5
PARTS = ("Prefect's API", "the store")

router = APIRouter(tags=["health"])

_log = logging.getLogger(__name__)


class Capacity(BaseModel):
    """The slots of this host."""

    agents: int
    free: int
    waiting: int
    parked: int = Field(description="CLI processes that were started ahead and wait for a run.")


class Health(BaseModel):
    """The state of this host; `busy` is true if no agent can start at once."""

    status: Literal["ok"] = "ok"
    busy: bool
    capacity: Capacity
    sandbox: Literal["none"] | None = Field(
        default=None,
        description="Agents run without a sandbox, with the rights of the service; its log has the reason.",
    )
    held: Held | None = Field(default=None, description="Jobs wait for the model's provider.")
    paused: list[str] | None = Field(
        default=None, description="Work pools that an operator has paused; with `agents` no agent starts."
    )
    watches: dict[str, float] = Field(
        description="Seconds since this host last read successfully what it follows in Prefect and the store, by name."
    )
    disk: Literal["low"] | None = Field(default=None, description="Too little disk space is free: no run starts.")


class Held(BaseModel):
    """The provider refuses model calls; jobs start again at `until`, or sooner where a probe says that they can."""

    until: datetime
    reason: str
    scope: str = Field(default="everybody", description="`everybody`, or `model NAME`: the jobs of that model wait.")


class Readiness(BaseModel):
    """The state of the parts that the service needs; `detail` names those that do not answer."""

    status: Literal["ready", "not ready"]
    detail: str = ""


@router.get("/health", response_model_exclude_none=True)
async def health(host: HostDep) -> Health:
    """Answer from memory, and never with an error for load: a dispatcher asks every two minutes."""
    now = host.capacity()
    return Health(
        busy=now.is_busy,
        capacity=Capacity(agents=now.slots, free=now.free, waiting=now.waiting, parked=now.warm.processes),
        sandbox="none" if now.isolation.kind == "none" else None,
        held=_held(now),
        paused=sorted(now.paused) or None,
        watches={name: round(age, 1) for name, age in now.watches.items()},
        disk="low" if now.is_disk_low else None,
    )


def _held(now: HostCapacity) -> Held | None:
    if now.provider_hold is not None:
        return Held(until=now.provider_hold.until, reason=now.provider_hold.reason, scope=now.provider_hold.scope)
    return Held(until=now.held_until, reason=now.held_reason) if now.held_until else None


@router.get("/ready", responses={503: {"model": Readiness, "description": "A part does not answer."}})
async def ready(host: HostDep, response: Response) -> Readiness:
    """Ask Prefect's API and the store, within 3 s."""
    results = await asyncio.gather(_ask_prefect(host), _ask_store(host), return_exceptions=True)
    away = {part: error for part, error in zip(PARTS, results, strict=True) if isinstance(error, Exception)}
    if not away:
        return Readiness(status="ready")
    for part, error in away.items():
        _log.warning("%s: %s: %s", part, type(error).__name__, error)
    response.status_code = 503
    # this route is open: addresses and paths go to the log only
    return Readiness(status="not ready", detail=f"no answer from {' and '.join(away)}; the service's log has more")


async def _ask_prefect(host: Host) -> None:
    async with calling_prefect(TIMEOUT_SECONDS):
        (await host.prefect.hello()).raise_for_status()


async def _ask_store(host: Host) -> None:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        await host.store.outcomes.load(UUID(int=0))
