"""A host without Prefect and without agents, for what the real one cannot be made to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
from fastapi import FastAPI
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Running, Scheduled
from starlette.routing import BaseRoute

from agent.domain.errors import WorkspaceError
from agent.domain.events import Event, Sink
from agent.domain.request import AgentRequest
from agent.domain.result import AgentResult, Outcome, Usage
from agent.pool.slots import Slots
from agent.settings import AgentSettings, WorkspaceConfig
from agent.workspaces.agent_definitions import AgentDefinition
from api.app import create_app
from api.settings import ApiSettings
from deployments.holds.disk_space import DiskSpace
from deployments.holds.provider_hold import ProviderHold
from deployments.host.host import Host
from deployments.host.job_queue import JobOptions
from deployments.settings import HostSettings
from deployments.telemetry.capacity import HostCapacity, Isolation, WarmCounts
from deployments.telemetry.metrics import HostMetrics
from store.errors import InputMissing

TOKEN = "a-token"
STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def result(text: str = "done", **members: Any) -> AgentResult:
    """What an agent gave that ended well, unless told otherwise."""
    given: dict[str, Any] = {
        "started_at": STARTED,
        "finished_at": STARTED,
        "exit_code": 0,
        "output": [f'{{"result": "{text}"}}\n'],
        "stderr": "",
        "text": text,
        "cost_usd": 0.25,
        "usage": Usage(input_tokens=3, output_tokens=5, cache_read_input_tokens=4),
    }
    return AgentResult(**given | members)


class FakeInputs:
    """Large prompts, in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    async def load(self, input_id: str) -> str:
        if input_id not in self.kept:
            raise InputMissing(input_id)
        return self.kept[input_id]


class FakeOutcomes:
    """The outcomes of a host, or an error."""

    def __init__(self, outcomes: dict[UUID, Outcome]) -> None:
        self.outcomes = outcomes
        self.failure: Exception | None = None

    async def load(self, run_id: UUID) -> str | None:
        if self.failure:
            raise self.failure
        return self.outcomes[run_id].model_dump_json() if run_id in self.outcomes else None


@dataclass
class FakeRun:
    """An inline run that says `events` and comes to `told`, or never comes to anything."""

    run_id: UUID
    told: Outcome | None
    events: Sequence[Event | asyncio.Event]
    sink: Sink
    kept: dict[UUID, Outcome]

    async def outcome(self) -> Outcome:
        self.kept[self.run_id] = await self._ending()
        return self.kept[self.run_id]

    async def _ending(self) -> Outcome:
        for event in self.events:
            if isinstance(event, asyncio.Event):
                await event.wait()
            else:
                self.sink(event)
                await asyncio.sleep(0)
        if self.told is None:
            await asyncio.Event().wait()
        assert self.told is not None
        return self.told


class FakeWorkspaces:
    """A workspace with these agents; with None it cannot be read."""

    def __init__(self) -> None:
        self.known: list[str] | None = None
        self.syncs: list[bool] = []

    async def sync(
        self, workspace: str = "default", ref: str | None = None, *, fresh: bool = False, allow_stale: bool
    ) -> None:
        self.syncs.append(fresh)
        if self.known is None:
            raise WorkspaceError("the remote is away", retryable=True)

    async def agents(self, snapshot: None) -> list[AgentDefinition]:
        return [AgentDefinition(name=name, path=f".claude/agents/{name}.md") for name in self.known or []]


class FakePrefect:
    """A Prefect client that says hello with `status`; with none it never does."""

    def __init__(self) -> None:
        self.status = 200

    async def hello(self) -> httpx.Response:
        if not self.status:
            await asyncio.Event().wait()
        return httpx.Response(self.status, request=httpx.Request("GET", "http://prefect"))


@dataclass
class FakeHost:
    """What the routes use of a Host, with levers to make it fail."""

    state_dir: Path
    slots: int = 2
    max_queue_depth: int = 100
    outcome: Outcome | None = field(default_factory=lambda: Outcome(result=result()))
    failure: Exception | None = None
    flow_runs: dict[UUID, FlowRun] = field(default_factory=dict)
    outcomes: dict[UUID, Outcome] = field(default_factory=dict)
    submitted: list[tuple[AgentRequest, list[str]]] = field(default_factory=list)
    events: Sequence[Event | asyncio.Event] = ()
    inline_runs: list[dict[str, Any]] = field(default_factory=list)
    left: list[UUID] = field(default_factory=list)
    waiting: int | None = None
    delay_seconds: float = 0
    flow: UUID = field(default_factory=uuid4)
    workspaces: FakeWorkspaces = field(default_factory=lambda: FakeWorkspaces())

    def __post_init__(self) -> None:
        self.settings = HostSettings(max_queue_depth=self.max_queue_depth)
        self.runtime = SimpleNamespace(
            settings=AgentSettings(
                state_dir=self.state_dir, workspaces={"infra": WorkspaceConfig(remote="/infra.git")}
            ),
            slots=Slots(self.slots, self.state_dir),
            workspaces=self.workspaces,
        )
        self.store = SimpleNamespace(inputs=FakeInputs(), outcomes=FakeOutcomes(self.outcomes))
        self.prefect = FakePrefect()
        self.isolation = Isolation("bwrap", "0.8.0", 2)
        self.queue = self
        self.cancellations = SimpleNamespace(running=lambda run_id: None)
        self.inline = SimpleNamespace(start=self.start_inline)
        self.disk_free = 10**12
        self.disk = DiskSpace(self.state_dir, self.settings.min_free_disk_mb, lambda _: self.disk_free)
        self.hold = ProviderHold()
        self.metrics = HostMetrics(self.capacity, lambda: self.queue.count_due())

    def capacity(self) -> HostCapacity:
        slots = self.runtime.slots
        return HostCapacity(
            slots=slots.capacity,
            free=slots.free,
            waiting=slots.waiting,
            is_busy=slots.free == 0 or self.disk.is_low,
            held_until=self.hold.until,
            held_reason=self.hold.reason,
            paused=frozenset(),
            disk_free_bytes=self.disk.free,
            disk_min_free_bytes=self.disk.min_free_bytes,
            is_disk_low=self.disk.is_low,
            warm=WarmCounts(0, 0, 0, 0),
            watches={"pauses": 1.04},
            isolation=self.isolation,
        )

    async def submit(self, request: AgentRequest, options: JobOptions) -> UUID:
        if self.failure:
            raise self.failure
        await asyncio.sleep(self.delay_seconds)
        tags = [*options.tags]
        self.submitted.append((request, tags))
        return self.add_run(request, Scheduled(), tags=tags)

    def add_run(
        self, request: AgentRequest | dict[str, Any], state: State[Any], outcome: Outcome | None = None, **members: Any
    ) -> UUID:
        """A flow run in `state` that came to `outcome`."""
        parameter = request.model_dump(mode="json") if isinstance(request, AgentRequest) else request
        run_id = uuid4()
        self.flow_runs[run_id] = FlowRun(
            id=run_id, flow_id=self.flow, parameters={"request": parameter}, state=state, created=STARTED, **members
        )
        if outcome is not None:
            self.outcomes[run_id] = outcome
        return run_id

    async def count_due(self) -> int:
        before = len(self.submitted) if self.waiting is None else self.waiting
        await asyncio.sleep(self.delay_seconds)
        return before

    async def agent_run_flow_id(self) -> UUID:
        return self.flow

    async def find(self, run_id: UUID) -> FlowRun | None:
        if self.failure:
            raise self.failure
        return self.flow_runs.get(run_id)

    @asynccontextmanager
    async def start_inline(self, request: AgentRequest, *, sink: Sink, **options: Any) -> AsyncIterator[FakeRun]:
        if self.failure:
            raise self.failure
        self.inline_runs.append({"request": request, **options})
        run = FakeRun(self.add_run(request, Running()), self.outcome, self.events, sink, self.outcomes)
        try:
            yield run
        finally:
            self.outcomes.setdefault(run.run_id, Outcome(error="cancelled"))
            self.left.append(run.run_id)


def settings(**members: Any) -> ApiSettings:
    """The defaults, and the token of these tests."""
    return ApiSettings.model_validate({"api_bearer_token": TOKEN} | members)


def app_of(host: FakeHost, api_settings: ApiSettings | None = None) -> FastAPI:
    """The application in front of `host`, with routes that FastAPI works out once and not for each of them."""
    app = create_app(cast(Host, host), api_settings or settings())
    app.router.routes = _ROUTES.setdefault("all", app.router.routes)
    return app


_ROUTES: dict[str, list[BaseRoute]] = {}


def client_of(host: FakeHost, api_settings: ApiSettings | None = None, token: str | None = TOKEN) -> httpx.AsyncClient:
    """A caller of the application in front of `host`."""
    app = app_of(host, api_settings)
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service", headers=headers)
