"""Catches up on missed scheduled runs: at most one per schedule."""

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
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort

from deployments.prefect_client.calls import BACKGROUND_SECONDS, calling_prefect
from deployments.prefect_client.flow_runs import in_state, set_states
from deployments.settings import HostSettings

_log = logging.getLogger(__name__)

_INSTANT = timedelta(microseconds=1)


class MissedRuns:
    """Chooses which due runs to start; made for one look at the pool.

    After an outage or a pause Prefect has every run of a schedule that was due meanwhile. Only the latest is started,
    the others are skipped. A later run counts in any state, so hosts that look at the same time never start two.
    """

    def __init__(self, client: PrefectClient, settings: HostSettings) -> None:
        self._client = client
        self._settings = settings

    async def skip_missed(self, due: Sequence[FlowRun]) -> list[FlowRun]:
        """Return the runs to start, in their order; the others become Skipped. Raises PrefectUnavailable."""
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
        """Return when the schedule's latest run was due; runs that were due before are not started."""
        now = datetime.now(UTC)
        async with calling_prefect(BACKGROUND_SECONDS):
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
        """Set the waiting runs that were due before to Skipped: some fifty at once, the rest at the next look."""
        missed = FlowRunFilter(
            created_by=FlowRunFilterCreatedBy(id_=[schedule]),
            state=in_state(StateType.SCHEDULED),
            expected_start_time=FlowRunFilterExpectedStartTime(before_=earliest - _INSTANT),
        )
        reason = f"missed: this schedule goes on with what was due at {earliest:%Y-%m-%d %H:%M:%S} UTC or later"
        skipped = await set_states(
            self._client, missed, StateType.CANCELLED, reason, BACKGROUND_SECONDS, name="Skipped"
        )
        _log.warning("%d runs of a schedule are skipped: %s", len(skipped), reason)


def _schedule(flow_run: FlowRun) -> UUID | None:
    """Return the id of the schedule that made the run, if one did."""
    if not flow_run.auto_scheduled or flow_run.created_by is None:
        return None
    return flow_run.created_by.id
