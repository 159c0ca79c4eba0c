"""The way from a triage to its agents: runs of their own in the agents' work pool."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from prefect import Task
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling, Pending

from agent.domain.request import AgentRequest
from deployments.host.host import Host
from deployments.host.job_queue import DEPLOYMENT
from deployments.host.run_metadata import TRIGGER, child_labels, run_labels, run_name, run_tags, triage_tags
from deployments.prefect_client.calls import calling_prefect
from tasks.agent_run.stored_input import store_input

_PATIENCE_SECONDS = 30.0
_AT_ONCE = 200

TRIGGER_TAG = f"{TRIGGER}triage"


class TriageAgents:
    """Implements `tasks.triage.context.Agents` with a host's client and store."""

    def __init__(self, host: Host, triage: str) -> None:
        self._host = host
        self._triage = triage

    @property
    def _prefect(self) -> PrefectClient:
        return self._host.prefect

    async def start(self, request: AgentRequest, title: str, parent: UUID, claim_id: UUID) -> UUID:
        """Queue a run, shown as a part of the run `parent`; for the same claim it is the same run.

        Raises PrefectUnavailable or StoreUnavailable when it is not known whether it was queued.
        """
        self._host.runtime.check_bounds(request)
        small = await store_input(self._host.store, request)
        tags = [TRIGGER_TAG, *triage_tags(self._triage)]
        async with calling_prefect(_PATIENCE_SECONDS):
            deployment = await self._prefect.read_deployment_by_name(DEPLOYMENT)
            link = await self._prefect.create_task_run(
                _link(title), flow_run_id=parent, dynamic_key=str(claim_id), name=title, state=Pending()
            )
            flow_run = await self._prefect.create_flow_run_from_deployment(
                deployment.id,
                parameters={"request": small.model_dump(mode="json")},
                name=run_name(request, title),
                tags=run_tags(request, tags),
                labels=run_labels(request, tags) | child_labels(self._triage, parent),
                idempotency_key=f"triage {claim_id}",
                parent_task_run_id=link.id,
            )
        self._host.nudge()
        return flow_run.id

    async def look(self, run_ids: Collection[UUID]) -> dict[UUID, FlowRun]:
        """These runs as they are now, without those that there are no more; raises PrefectUnavailable."""
        wanted = list(run_ids)
        found: dict[UUID, FlowRun] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            some = FlowRunFilter(id=FlowRunFilterId(any_=wanted[start : start + _AT_ONCE]))
            async with calling_prefect(_PATIENCE_SECONDS):
                runs = await self._prefect.read_flow_runs(flow_run_filter=some, limit=_AT_ONCE)
            found.update((run.id, run) for run in runs)
        return found

    async def cancel(self, run_ids: Collection[UUID]) -> None:
        """End these runs; those that are over stay as they are. Raises PrefectUnavailable."""
        for run_id in run_ids:
            async with calling_prefect(_PATIENCE_SECONDS):
                try:
                    await self._prefect.set_flow_run_state(run_id, Cancelling(message="its triage was cancelled"))
                except ObjectNotFound:
                    continue


def _link(title: str) -> Task[[], None]:
    """The task that stands for an agent's run in its parent's; its state follows the run's."""
    link = Task(name=title, fn=_nothing)
    link.task_key = "triage.handle"
    return link


def _nothing() -> None:
    return None
