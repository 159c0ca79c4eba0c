"""Queues jobs in Prefect and finds them: submit, due runs, flow run by id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Pending, Scheduled

from agent.claude.turn import Content
from agent.domain.errors import NotConfigured
from agent.domain.request import AgentRequest
from deployments.holds.holds import Holds
from deployments.host.run_metadata import run_labels, run_name, run_tags
from deployments.pools import AGENTS, Priority
from deployments.prefect_client.calls import CALLER_SECONDS, calling_prefect
from deployments.prefect_client.engine import create_run
from deployments.prefect_client.flow_runs import count_due, find_flow_id
from flows.agent_run import agent_run
from flows.triage import triage
from store.store import Store
from tasks.agent_run.stored_input import store_input

DEPLOYMENT = "agent_run/agent-run"
"""The deployment that jobs are runs of."""


@dataclass(frozen=True)
class JobOptions:
    """How a job is queued: what its request does not say."""

    tags: Sequence[str] = ()
    labels: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    title: str | None = None
    """For the run's name, instead of the beginning of the prompt."""
    priority: Priority = "default"
    run_at: datetime | None = None
    key: str | None = None
    """The same key gives the same run."""
    parent_task_run_id: UUID | None = None


class JobQueue:
    """The jobs of this service in Prefect; one per host.

    `check_limits` raises RequestRefused; `on_queued` is called after each job that is queued here.
    """

    def __init__(
        self,
        prefect: PrefectClient,
        store: Store,
        holds: Holds,
        check_limits: Callable[[AgentRequest], None],
        on_queued: Callable[[], None],
    ) -> None:
        self._prefect = prefect
        self._store = store
        self._holds = holds
        self._check_limits = check_limits
        self._on_queued = on_queued
        self._agent_run_flow_id: UUID | None = None
        self._triage_flow_id: UUID | None = None
        self._deployment_id: UUID | None = None

    async def submit(self, request: AgentRequest, options: JobOptions, seconds: float = CALLER_SECONDS) -> UUID:
        """Queue a run and return its id; the same `options.key` gives the same run.

        Raises DiskFull, NotConfigured, RequestRefused, PrefectUnavailable or StoreUnavailable.
        """
        self._check_limits(request)
        if options.parent_task_run_id is None:  # the agents of a running triage wait in the queue for free space
            self._holds.refuse_job()
        stored = await store_input(self._store, request)

        async def create() -> FlowRun:
            return await self._prefect.create_flow_run_from_deployment(
                await self._find_deployment_id(),
                parameters={"request": stored.as_parameter()},
                name=run_name(request, options.title),
                tags=run_tags(request, options.tags),
                labels=run_labels(request, options.tags) | dict(options.labels),
                state=Scheduled(scheduled_time=options.run_at) if options.run_at is not None else None,
                work_queue_name=options.priority if options.priority != "default" else None,
                idempotency_key=options.key,
                parent_task_run_id=options.parent_task_run_id,
            )

        async with calling_prefect(seconds):
            flow_run = await self._again_if_deleted(create)
        self._on_queued()
        return flow_run.id

    async def create_claimed(
        self, request: AgentRequest, content: Content | None, tags: Sequence[str], claim: str
    ) -> FlowRun:
        """Create a run that its host starts at once, past the queue. Raises what `submit` does."""
        stored = await store_input(self._store, request, content)

        async def create() -> FlowRun:
            return await create_run(
                self._prefect,
                await self.agent_run_flow_id(),
                run_name(request),
                {"request": stored.as_parameter()},
                Pending(message=claim),
                tags=run_tags(request, tags),
                labels=run_labels(request, tags),
            )

        async with calling_prefect():
            return await self._again_if_deleted(create)

    async def count_due(self) -> int:
        """Count the jobs that are due and wait, on all hosts. Raises PrefectUnavailable."""
        return await count_due(self._prefect, AGENTS)

    async def find(self, run_id: UUID) -> FlowRun | None:
        """Return the flow run if it is one of an agent or a triage, else None. Raises PrefectUnavailable."""
        async with calling_prefect():
            try:
                flow_run = await self._prefect.read_flow_run(run_id)
            except ObjectNotFound:
                return None
            return flow_run if await self.is_ours(flow_run.flow_id) else None

    async def is_ours(self, flow_id: UUID) -> bool:
        """True for the flows `agent_run` and `triage`, also after they were deleted in Prefect and applied anew."""
        if flow_id in await self.flow_ids():
            return True
        self._forget_ids()
        return flow_id in await self.flow_ids()

    async def flow_ids(self) -> list[UUID]:
        """Return the ids of the flows of this service, `agent_run` first. Raises NotConfigured without that one."""
        if self._triage_flow_id is None:
            self._triage_flow_id = await find_flow_id(self._prefect, triage.name)
        triages = [] if self._triage_flow_id is None else [self._triage_flow_id]
        return [await self.agent_run_flow_id(), *triages]

    async def agent_run_flow_id(self) -> UUID:
        """Return the id of the flow `agent_run`. Raises NotConfigured when it is not registered."""
        if self._agent_run_flow_id is None:
            self._agent_run_flow_id = await find_flow_id(self._prefect, agent_run.name)
        if self._agent_run_flow_id is None:
            raise not_registered()
        return self._agent_run_flow_id

    async def _again_if_deleted(self, create: Callable[[], Awaitable[FlowRun]]) -> FlowRun:
        """Create the run; once more if what it was created from was deleted in Prefect since it was looked up."""
        try:
            return await create()
        except (ObjectNotFound, PrefectHTTPStatusError) as error:
            if not _may_be_deleted(error):
                raise
            self._forget_ids()
        try:
            return await create()
        except ObjectNotFound:
            raise not_registered() from None

    def _forget_ids(self) -> None:
        self._agent_run_flow_id = self._triage_flow_id = self._deployment_id = None

    async def _find_deployment_id(self) -> UUID:
        if self._deployment_id is None:
            try:
                self._deployment_id = (await self._prefect.read_deployment_by_name(DEPLOYMENT)).id
            except ObjectNotFound:
                raise not_registered() from None
        return self._deployment_id


def _may_be_deleted(error: ObjectNotFound | PrefectHTTPStatusError) -> bool:
    # 409: a run of a flow that does not exist is a conflict in Prefect's database
    gone = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
    return isinstance(error, ObjectNotFound) or error.response.status_code in gone


def not_registered() -> NotConfigured:
    """Return the error for a Prefect that lacks the deployment of jobs."""
    return NotConfigured(f"{DEPLOYMENT} is not registered in Prefect; `agent-service apply` registers it")
