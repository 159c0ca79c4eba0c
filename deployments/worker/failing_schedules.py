"""Emits an event for a schedule that keeps failing; an automation pauses it."""

from __future__ import annotations

import logging
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events import emit_event

from deployments.prefect_client.calls import BACKGROUND_SECONDS, PrefectUnavailable, calling_prefect
from deployments.prefect_client.flow_runs import in_state

FAILING = "claude-agent-service.schedule.failing"
"""The type of the event that the automation waits for."""

STREAK = 3
"""A schedule is paused after so many failed runs in a row: one or two may be an outage."""

SCHEDULED_TAG = "auto-scheduled"
"""Prefect's tag of the runs that a schedule makes."""

_BAD = (StateType.FAILED, StateType.CRASHED)

_log = logging.getLogger(__name__)


async def report_failing_schedule(client: PrefectClient, flow_run: FlowRun) -> None:
    """Emit the event if the last runs of this one's schedule all failed; skipped runs do not count."""
    # an automation alone cannot decide it: it counts failures in a time, and forgets none when a run succeeds
    if not flow_run.auto_scheduled or flow_run.deployment_id is None:
        return
    try:
        last = await _last_runs(client, flow_run.deployment_id)
    except PrefectUnavailable as error:
        _log.warning("cannot read whether the schedule of %s keeps failing: %s", flow_run.name, error)
        return
    if len(last) == STREAK and all(run.state_type in _BAD for run in last):
        reason = last[0].state.message if last[0].state else None
        _log.warning("the last %d scheduled runs like %s failed: %s", STREAK, flow_run.name, reason)
        emit_event(
            FAILING,
            resource={"prefect.resource.id": f"prefect.deployment.{flow_run.deployment_id}"},
            payload={"runs": [str(run.id) for run in last], "reason": reason},
        )


async def _last_runs(client: PrefectClient, deployment_id: UUID) -> list[FlowRun]:
    async with calling_prefect(BACKGROUND_SECONDS):
        return await client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                deployment_id=FlowRunFilterDeploymentId(any_=[deployment_id]),
                tags=FlowRunFilterTags(all_=[SCHEDULED_TAG]),
                state=in_state(StateType.COMPLETED, *_BAD),
            ),
            sort=FlowRunSort.END_TIME_DESC,
            limit=STREAK,
        )
