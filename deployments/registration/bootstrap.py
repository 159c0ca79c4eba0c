"""Creates work pools, deployments and automations in Prefect."""

from __future__ import annotations

import contextlib
import logging
from datetime import timedelta

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName
from prefect.exceptions import ObjectAlreadyExists, PrefectHTTPStatusError
from pydantic import ValidationError

from agent.system.text import shorten
from deployments.pools import AGENTS, POOLS, QUEUES
from deployments.registration.automations import create_automations
from deployments.registration.deployment import AppliedDeployment, apply_deployment, retire_deployment
from deployments.registration.register import Register, RegisterError
from deployments.worker.worker import AgentHostWorker

BOOTSTRAP = "bootstrap"
"""The name of the lock that a host holds for this: two hosts at once would create objects twice."""

_REASON_CHARACTERS = 500

_log = logging.getLogger(__name__)


async def create_work_pool(client: PrefectClient, name: str) -> None:
    """Create the work pool; one that exists keeps its limit, its pause and its queues."""
    template = AgentHostWorker.get_default_base_job_template()
    pool = WorkPoolCreate(name=name, type=AgentHostWorker.type, base_job_template=template)
    try:
        await client.create_work_pool(pool)
    except ObjectAlreadyExists:
        return


async def create_work_queues(client: PrefectClient) -> None:
    """Create the work queues of the agents' pool; one that exists keeps its priority, limit and pause."""
    known = {queue.name for queue in await client.read_work_queues(work_pool_name=AGENTS)}
    for name, priority in QUEUES.items():
        if name not in known:
            with contextlib.suppress(ObjectAlreadyExists):  # another host was quicker
                await client.create_work_queue(name, priority=priority, work_pool_name=AGENTS)


async def apply_register(client: PrefectClient, register: Register, lost_after: timedelta | None = None) -> list[str]:
    """Create or update every deployment of the register and return their full names.

    Deployments that an earlier register had, and this one has not, are paused. With `lost_after`, an automation ends
    runs without an event for so long.

    Raises RegisterError if Prefect refuses one; then the others are as they were before.
    """
    for pool in POOLS:
        await create_work_pool(client, pool)
    await create_work_queues(client)
    names = await _apply_deployments(client, register)
    await _retire_others(client, names)
    await create_automations(client, lost_after)
    return names


async def _apply_deployments(client: PrefectClient, register: Register) -> list[str]:
    applied: list[AppliedDeployment] = []
    for entry in register.deployments:
        try:
            applied.append(await apply_deployment(client, entry))
        except (PrefectHTTPStatusError, ValidationError) as error:
            if isinstance(error, PrefectHTTPStatusError) and not 400 <= error.response.status_code < 500:
                raise  # an outage: the next attempt brings all to the register
            for one in reversed(applied):
                if one.undo is not None:
                    await one.undo()
            reason = error.response.text if isinstance(error, PrefectHTTPStatusError) else str(error)
            refused = shorten(f"Prefect refuses the deployment {entry.name}: {reason}", _REASON_CHARACTERS)
            raise RegisterError(f"{refused}; nothing was applied") from error
    return [one.name for one in applied]


async def _retire_others(client: PrefectClient, names: list[str]) -> None:
    pools = WorkPoolFilter(name=WorkPoolFilterName(any_=[*POOLS]))
    known = await client.read_deployments(work_pool_filter=pools, limit=200)
    flows = {flow.id: flow.name for flow in await client.read_flows(limit=200)}
    for deployment in known:
        name = f"{flows.get(deployment.flow_id)}/{deployment.name}"
        if name not in names and await retire_deployment(client, deployment):
            _log.warning("deployment %s is no longer in the register: it is paused", name)
