"""Looks up flows and flow runs in Prefect: ids by name, filters by state, runs that are due."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from http import HTTPStatus
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterNextScheduledStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import PrefectHTTPStatusError

from deployments.prefect_client.calls import BACKGROUND_SECONDS, CALLER_SECONDS, PAGE_RUNS, calling_prefect


async def find_flow_id(client: PrefectClient, name: str) -> UUID | None:
    """Return the id of the flow of that name; None while no deployment of it is registered."""
    try:
        return (await client.read_flow_by_name(name)).id
    except PrefectHTTPStatusError as error:  # 3.8.8 raises no ObjectNotFound here
        if error.response.status_code == HTTPStatus.NOT_FOUND:
            return None
        raise


def in_state(*types: StateType) -> FlowRunFilterState:
    """Return the filter for runs in a state of one of these types."""
    return FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types)))


def in_pool(*names: str) -> WorkPoolFilter:
    """Return the filter for runs of these work pools."""
    return WorkPoolFilter(name=WorkPoolFilterName(any_=list(names)))


async def count_due(client: PrefectClient, pool: str, seconds: float = CALLER_SECONDS) -> int:
    """Count the runs that are due and wait in the work pool. Raises PrefectUnavailable after `seconds`."""
    due = FlowRunFilter(
        state=in_state(StateType.SCHEDULED),
        next_scheduled_start_time=FlowRunFilterNextScheduledStartTime(before_=datetime.now(UTC)),
    )
    async with calling_prefect(seconds):
        return await client.count_flow_runs(flow_run_filter=due, work_pool_filter=in_pool(pool))


async def set_states(
    client: PrefectClient, runs: FlowRunFilter, type: StateType, message: str, seconds: float, name: str | None = None
) -> frozenset[UUID]:
    """Set the state of some fifty runs that match, in one call, and return those that took it.

    Raises PrefectUnavailable after `seconds`.
    """
    body = {
        "flow_runs": runs.model_dump(mode="json", exclude_none=True),
        "state": {"type": type.value, "name": name or type.value.capitalize(), "message": message},
    }
    async with calling_prefect(seconds):
        answer = await client.request("POST", "/flow_runs/bulk_set_state", json=body)  # type: ignore[arg-type]
    taken = [result for result in answer.json()["results"] if result["status"] == "ACCEPT"]
    return frozenset(UUID(result["state"]["state_details"]["flow_run_id"]) for result in taken)


async def read_runs(
    client: PrefectClient,
    run_ids: Collection[UUID],
    state: FlowRunFilterState | None = None,
    seconds: float = BACKGROUND_SECONDS,
) -> list[FlowRun]:
    """Read these runs, or those of them in `state`, one page a call of `seconds`. Raises PrefectUnavailable."""
    wanted = list(run_ids)
    found: list[FlowRun] = []
    for start in range(0, len(wanted), PAGE_RUNS):
        page = FlowRunFilterId(any_=wanted[start : start + PAGE_RUNS])
        async with calling_prefect(seconds):
            found += await client.read_flow_runs(flow_run_filter=FlowRunFilter(id=page, state=state), limit=PAGE_RUNS)
    return found


async def count_runs(
    client: PrefectClient, run_ids: Collection[UUID], state: FlowRunFilterState, seconds: float = BACKGROUND_SECONDS
) -> int:
    """Count those of these runs that are in `state`. Raises PrefectUnavailable after `seconds`."""
    wanted = FlowRunFilter(id=FlowRunFilterId(any_=list(run_ids)), state=state)
    async with calling_prefect(seconds):
        return await client.count_flow_runs(flow_run_filter=wanted)
