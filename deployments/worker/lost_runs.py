"""Finds runs of hosts that did not come back.

The automation for lost runs sees those whose heartbeats stop. A run that was taken and never started has had none, and
the automation does not see one that is being cancelled. Where a host is alive, both states pass in seconds.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, StateType

from deployments.host.host import Host
from deployments.host.run_records import is_claim
from deployments.prefect_client.calls import BACKGROUND_SECONDS, PAGE_RUNS, calling_prefect
from deployments.prefect_client.flow_runs import in_state

_PASSING = FlowRunFilter(state=in_state(StateType.PENDING, StateType.CANCELLING))


async def find_lost(host: Host, after: timedelta) -> list[FlowRun]:
    """Return the runs of any host that were taken or cancelled more than `after` ago, and have not moved since.

    Raises PrefectUnavailable.
    """
    before = datetime.now(UTC) - after
    async with calling_prefect(BACKGROUND_SECONDS):
        passing = await host.prefect.read_flow_runs(flow_run_filter=_PASSING, limit=PAGE_RUNS)
        ours = await host.queue.flow_ids()
    return [run for run in passing if run.flow_id in ours and _is_stuck(run, before)]


def _is_stuck(run: FlowRun, before: datetime) -> bool:
    state = run.state
    if state is None or state.timestamp > before:
        return False
    return state.is_cancelling() or is_claim(state.message)
