"""Applies one deployment to Prefect and keeps what an operator changed there."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentScheduleUpdate, DeploymentUpdate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.utilities.callables import parameter_schema

from deployments.pools import RETIRED
from deployments.registration.parameters import sealed_parameters
from deployments.registration.register import DeploymentEntry

_RESTORED = (
    *("version", "paused", "description", "tags", "parameters", "concurrency_options", "work_pool_name"),
    *("work_queue_name", "job_variables", "entrypoint", "parameter_openapi_schema"),
)

_OURS = re.compile(r"(?:^|\+)[0-9a-f]{8}-[0-9a-f]{8}$")


@dataclass(frozen=True)
class AppliedDeployment:
    """A deployment that was brought to its entry; `undo` brings it back, and is None where nothing was changed."""

    name: str
    undo: Callable[[], Awaitable[None]] | None = None


async def apply_deployment(client: PrefectClient, entry: DeploymentEntry) -> AppliedDeployment:
    """Create the deployment, or update it if its entry has changed.

    What was paused or resumed in Prefect stays so until `active` or `paused` of the entry changes.
    """
    flow = entry.load_flow()
    name = f"{flow.name}/{entry.name}"
    options = _options(entry, flow)
    digests = f"{_digest(options | _schedules(entry))}-{_digest(_flags(entry))}"
    version = f"{entry.version}+{digests}" if entry.version else digests
    try:
        known = await client.read_deployment_by_name(name)
    except ObjectNotFound:
        created = await _create(client, entry, flow, options | {"version": version})
        return AppliedDeployment(name, partial(client.delete_deployment, created))
    if known.version == version and not _lacks_a_part(known, entry):
        return AppliedDeployment(name)
    try:
        await _update(client, entry, known, options | {"version": version})
    except PrefectHTTPStatusError:
        await _restore(client, known)  # schedules may have been deleted already
        raise
    return AppliedDeployment(name, partial(_restore, client, known))


def _lacks_a_part(known: DeploymentResponse, entry: DeploymentEntry) -> bool:
    """True if a schedule or the pool was deleted in Prefect since the entry was applied; its version says nothing."""
    missing = {one.slug for one in entry.named_schedules()} - {schedule.slug for schedule in known.schedules}
    queue = entry.work_pool.work_queue_name or "default"
    return bool(missing) or (known.work_pool_name, known.work_queue_name) != (entry.work_pool.name, queue)


async def retire_deployment(client: PrefectClient, deployment: DeploymentResponse) -> bool:
    """Pause a deployment that was in the register. False for one that never was."""
    if not _OURS.search(deployment.version or ""):
        return False
    await client.update_deployment(deployment.id, DeploymentUpdate(paused=True, version=RETIRED, tags=deployment.tags))
    return True


async def _create(client: PrefectClient, entry: DeploymentEntry, flow: Flow[..., Any], options: dict[str, Any]) -> UUID:
    return await client.create_deployment(
        flow_id=await client.create_flow(flow),
        name=entry.name,
        schedules=[schedule.build() for schedule in entry.named_schedules()],
        paused=entry.paused,
        enforce_parameter_schema=False,
        path=str(Path.cwd()),
        **options,
    )


async def _update(
    client: PrefectClient, entry: DeploymentEntry, known: DeploymentResponse, options: dict[str, Any]
) -> None:
    """Update the deployment. The version is written last, with the rest: an interrupted update is repeated."""
    switched = (known.version or "").rpartition("-")[2] != options["version"].rpartition("-")[2]
    slugs = {schedule.slug for schedule in entry.named_schedules()}
    for schedule in known.schedules:
        if schedule.slug not in slugs:
            await client.delete_deployment_schedule(known.id, UUID(str(schedule.id)))
    kept = {schedule.slug for schedule in known.schedules if schedule.slug in slugs}
    schedules = []
    for one in entry.named_schedules():
        built = one.build()
        members: dict[str, Any] = {"slug": built.slug, "schedule": built.schedule, "parameters": built.parameters}
        if switched or built.slug not in kept:
            members["active"] = built.active
        schedules.append(DeploymentScheduleUpdate(**members))
    flags = {"paused": entry.paused} if switched else {}
    await client.update_deployment(known.id, DeploymentUpdate(schedules=schedules, **flags, **options))


async def _restore(client: PrefectClient, known: DeploymentResponse) -> None:
    """Bring a deployment back to what it was when it was read."""
    slugs = {schedule.slug for schedule in known.schedules}
    for schedule in (await client.read_deployment(known.id)).schedules:
        if schedule.slug not in slugs:
            await client.delete_deployment_schedule(known.id, UUID(str(schedule.id)))
    schedules = [
        DeploymentScheduleUpdate(
            slug=schedule.slug, schedule=schedule.schedule, active=schedule.active, parameters=schedule.parameters
        )
        for schedule in known.schedules
    ]
    limit = known.global_concurrency_limit.limit if known.global_concurrency_limit else None
    before = {name: getattr(known, name) for name in _RESTORED}
    await client.update_deployment(known.id, DeploymentUpdate(schedules=schedules, concurrency_limit=limit, **before))


def _options(entry: DeploymentEntry, flow: Flow[..., Any]) -> dict[str, Any]:
    limit, options = entry.limit()
    return {
        "description": entry.description,
        "tags": entry.tags,
        "parameters": sealed_parameters(entry.parameters),
        "concurrency_limit": limit,
        "concurrency_options": options,
        "work_pool_name": entry.work_pool.name,
        "work_queue_name": entry.work_pool.work_queue_name,
        "job_variables": entry.work_pool.job_variables,
        "entrypoint": entry.entrypoint,
        "parameter_openapi_schema": parameter_schema(flow).model_dump_for_openapi(),
    }


def _schedules(entry: DeploymentEntry) -> dict[str, Any]:
    return {"schedules": [schedule.model_dump(exclude={"active"}) for schedule in entry.named_schedules()]}


def _flags(entry: DeploymentEntry) -> dict[str, Any]:
    """The switches of the entry that an operator can change in Prefect, too."""
    return {"paused": entry.paused, **{str(one.slug): one.active for one in entry.named_schedules()}}


def _digest(value: dict[str, Any]) -> str:
    return sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:8]
