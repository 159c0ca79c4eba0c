"""What the tasks of one triage work with, bound by the host that runs it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol
from uuid import UUID

from prefect.client.schemas.objects import FlowRun

from agent.domain.errors import NotConfigured
from agent.domain.request import AgentRequest
from agent.runtime import Runtime
from store.store import Store
from tasks.cancellation import Cancellation


class Agents(Protocol):
    """The way to agents: each request is a run of its own, queued in the work pool."""

    async def start(self, request: AgentRequest, title: str, parent: UUID, claim_id: UUID) -> UUID:
        """Queue a run, shown as a part of the run `parent`; for the same claim it is the same run.

        Raises an error that says `retryable` when it is not known whether the run was queued.
        """
        ...

    async def look(self, run_ids: Collection[UUID]) -> dict[UUID, FlowRun]:
        """These runs as they are now, without those that there are no more; asked in one go."""
        ...

    async def cancel(self, run_ids: Collection[UUID]) -> None:
        """End these runs, those at work and those that wait."""
        ...


@dataclass
class TriageContext:
    """One triage on its host."""

    run_id: UUID
    started_at: datetime
    runtime: Runtime
    store: Store
    agents: Agents
    secrets_dir: Path
    lease: timedelta = timedelta(minutes=1)
    cancellation: Cancellation = field(default_factory=Cancellation)
    stopping: bool = False
    """The host stops, which is not the triage's end: it is carried on elsewhere, or here later."""


_current: ContextVar[TriageContext] = ContextVar("triage_context")


def current_triage() -> TriageContext:
    """The triage whose task this is; raises NotConfigured outside of a host."""
    try:
        return _current.get()
    except LookupError:
        raise NotConfigured("triage works inside a host; start one with `agent-service up`") from None


@contextmanager
def triaging(context: TriageContext) -> Iterator[TriageContext]:
    """While this is open, `current_triage` is `context`."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)
