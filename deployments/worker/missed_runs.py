"""What becomes of scheduled runs whose time has passed: one of a schedule is made up for, at most."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterCreatedBy,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort

from deployments.prefect_client.calls import calling_prefect
from deployments.settings import HostSettings

_log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 30.0
_INSTANT = timedelta(microseconds=1)


class MissedRuns:
    """Prefect keeps every run that an outage, a pause or a busy host has kept from starting, and would start them all.

    A scheduled run gives way to any later one of its schedule that is due as well. Because a later one counts in
    whatever state, hosts that look at the same time never start two.
    """

    def __init__(self, client: PrefectClient, settings: HostSettings) -> None:
        self._client = client
        self._settings = settings

    async def leave_out(self, due: Sequence[FlowRun]) -> list[FlowRun]:
        """The runs to start, in their order; the others end as Skipped. Raises PrefectUnavailable."""
        earliest: dict[UUID, datetime] = {}
        for one in dict.fromkeys(filter(None, map(_schedule, due))):
            earliest[one] = await self._earliest(one)
        chosen = []
        late: set[UUID] = set()
        for flow_run in due:
            schedule, planned = _schedule(flow_run), flow_run.expected_start_time
            if schedule is not None and planned is not None and planned < earliest[schedule]:
                late.add(schedule)
            else:
                chosen.append(flow_run)
        for one in late:
            await self._skip(one, earliest[one])
        return chosen

    async def _earliest(self, schedule: UUID) -> datetime:
        """What was due before this is not started: it is when the schedule's latest run was due."""
        now = datetime.now(UTC)
        async with calling_prefect(_PATIENCE_SECONDS):
            last = await self._client.read_flow_runs(
                flow_run_filter=FlowRunFilter(
                    created_by=FlowRunFilterCreatedBy(id_=[schedule]),
                    expected_start_time=FlowRunFilterExpectedStartTime(before_=now),
                ),
                sort=FlowRunSort.EXPECTED_START_TIME_DESC,
                limit=1,
            )
        latest = last[0].expected_start_time if last else None
        bounds: list[datetime] = [latest] if latest is not None else []
        if self._settings.catch_up == "none":
            bounds.append(now - timedelta(seconds=self._settings.missed_after_seconds))
        return max(bounds, default=now - timedelta(days=36_500))

    async def _skip(self, schedule: UUID, earliest: datetime) -> None:
        """End what waits and was due before; Prefect takes some fifty at a time, the rest is seen at the next look."""
        missed = FlowRunFilter(
            created_by=FlowRunFilterCreatedBy(id_=[schedule]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
            expected_start_time=FlowRunFilterExpectedStartTime(before_=earliest - _INSTANT),
        )
        reason = f"missed: this schedule goes on with what was due at {earliest:%Y-%m-%d %H:%M:%S} UTC or later"
        async with calling_prefect(_PATIENCE_SECONDS):
            answer = await self._client.request(
                "POST",
                "/flow_runs/bulk_set_state",  # type: ignore[arg-type]
                json={
                    "flow_runs": missed.model_dump(mode="json", exclude_none=True),
                    "state": {"type": StateType.CANCELLED.value, "name": "Skipped", "message": reason},
                },
            )
        _log.warning("%d runs of a schedule are left out: %s", len(answer.json()["results"]), reason)


def _schedule(flow_run: FlowRun) -> UUID | None:
    """The schedule that made the run, if one did."""
    if not flow_run.auto_scheduled or flow_run.created_by is None:
        return None
    return flow_run.created_by.id
