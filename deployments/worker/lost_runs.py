"""Finds the runs of hosts that do not come back, as far as the automation for lost runs cannot see them.

That automation misses a run's heartbeats. A run that was taken and never begun has had none, and one that somebody has
cancelled since is not waited for any more. Both are states that pass in seconds where a host is alive.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import FlowRun, StateType

from deployments.host.host import Host
from deployments.host.run_records import is_claim
from deployments.prefect_client.calls import calling_prefect

_PASSING = FlowRunFilter(
    state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PENDING, StateType.CANCELLING]))
)
_PATIENCE_SECONDS = 30.0
_AT_ONCE = 200


async def find_lost(host: Host, after: timedelta) -> list[FlowRun]:
    """The runs, of whatever host, that for `after` were taken and not begun, or were to end and have not.

    Raises PrefectUnavailable.
    """
    before = datetime.now(UTC) - after
    async with calling_prefect(_PATIENCE_SECONDS):
        passing = await host.prefect.read_flow_runs(flow_run_filter=_PASSING, limit=_AT_ONCE)
        ours = {await host.flow_id(), await host.triage_flow_id()}
    return [run for run in passing if run.flow_id in ours and _is_stuck(run, before)]


def _is_stuck(run: FlowRun, before: datetime) -> bool:
    state = run.state
    if state is None or state.timestamp > before:
        return False
    return state.is_cancelling() or is_claim(state.message)
