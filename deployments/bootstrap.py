"""Brings Prefect to the state that the service needs: work pool, result storage, deployments."""

from __future__ import annotations

from pathlib import Path

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists
from prefect.utilities.callables import parameter_schema

from deployments.register import DeploymentEntry, Register
from deployments.worker import AgentHostWorker


async def create_work_pool(client: PrefectClient, name: str) -> None:
    """Make sure that the pool is there; one that is keeps its limit, its pause and its queues."""
    template = AgentHostWorker.get_default_base_job_template()
    pool = WorkPoolCreate(name=name, type=AgentHostWorker.type, base_job_template=template)
    try:
        await client.create_work_pool(pool)
    except ObjectAlreadyExists:
        return


async def apply_register(client: PrefectClient, register: Register) -> list[str]:
    """Create or update every deployment of a register that was read whole; gives their full names."""
    for pool in sorted({entry.work_pool.name for entry in register.deployments}):
        await create_work_pool(client, pool)
    return [await _apply(client, entry) for entry in register.deployments]


async def _apply(client: PrefectClient, entry: DeploymentEntry) -> str:
    flow = entry.load_flow()
    limit, options = entry.limit()
    await client.create_deployment(
        flow_id=await client.create_flow(flow),
        name=entry.name,
        version=entry.version,
        description=entry.description,
        tags=entry.tags,
        parameters=entry.parameters,
        schedules=[schedule.build() for schedule in entry.schedules],
        concurrency_limit=limit,
        concurrency_options=options,
        work_pool_name=entry.work_pool.name,
        work_queue_name=entry.work_pool.work_queue_name,
        job_variables=entry.work_pool.job_variables,
        entrypoint=entry.entrypoint,
        path=str(Path.cwd()),
        paused=entry.paused,
        parameter_openapi_schema=parameter_schema(flow).model_dump_for_openapi(),
        enforce_parameter_schema=False,
    )
    return f"{flow.name}/{entry.name}"
