"""Starts and watches the agent runs of a triage."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from prefect import Task
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling, Pending

from agent.domain.request import AgentRequest
from deployments.host.host import Host
from deployments.host.job_queue import JobOptions
from deployments.host.run_metadata import TRIGGER, child_labels, triage_tags
from deployments.prefect_client.calls import BACKGROUND_SECONDS, calling_prefect
from deployments.prefect_client.flow_runs import read_runs

TRIGGER_TAG = f"{TRIGGER}triage"


class TriageAgents:
    """The agent runs of one triage; implements `tasks.triage.context.Agents` with a host."""

    def __init__(self, host: Host, triage: str) -> None:
        self._host = host
        self._triage = triage

    @property
    def _prefect(self) -> PrefectClient:
        return self._host.prefect

    async def start(self, request: AgentRequest, title: str, parent: UUID, claim_id: UUID) -> UUID:
        """Queue a run as a part of the run `parent` and return its id; the same claim gives the same run.

        Raises RequestRefused; PrefectUnavailable or StoreUnavailable when the run may have been queued all the same.
        """
        async with calling_prefect(BACKGROUND_SECONDS):
            link = await self._prefect.create_task_run(
                _link(title), flow_run_id=parent, dynamic_key=str(claim_id), name=title, state=Pending()
            )
        options = JobOptions(
            tags=[TRIGGER_TAG, *triage_tags(self._triage)],
            labels=child_labels(self._triage, parent),
            title=title,
            key=f"triage {claim_id}",
            parent_task_run_id=link.id,
        )
        return await self._host.queue.submit(request, options, BACKGROUND_SECONDS)

    async def look(self, run_ids: Collection[UUID]) -> dict[UUID, FlowRun]:
        """Return these runs by id, without those that do not exist any more. Raises PrefectUnavailable."""
        return {run.id: run for run in await read_runs(self._prefect, run_ids)}

    async def cancel(self, run_ids: Collection[UUID]) -> None:
        """Cancel these runs; those that are over stay as they are. Raises PrefectUnavailable."""
        for run_id in run_ids:
            async with calling_prefect(BACKGROUND_SECONDS):
                try:
                    await self._prefect.set_flow_run_state(run_id, Cancelling(message="its triage was cancelled"))
                except ObjectNotFound:
                    continue


def _link(title: str) -> Task[[], None]:
    """Return the task that stands for an agent run in the triage's run; its state follows the agent run's."""
    link = Task(name=title, fn=_nothing)
    link.task_key = "triage.handle"
    return link


def _nothing() -> None:
    return None
