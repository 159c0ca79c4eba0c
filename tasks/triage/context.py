"""The context of one triage, bound by the host: store, agent runs, lease."""

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
    """Starts, reads and cancels agent runs; each request is one run in the work pool. The host implements it."""

    async def start(self, request: AgentRequest, title: str, parent: UUID, claim_id: UUID) -> UUID:
        """Queue a run as a child of the run `parent`. The same claim gives the same run.

        Raises an error with `retryable` set if it is unknown whether the run was queued.
        """
        ...

    async def look(self, run_ids: Collection[UUID]) -> dict[UUID, FlowRun]:
        """Read these runs with one query. Runs that no longer exist are left out."""
        ...

    async def cancel(self, run_ids: Collection[UUID]) -> None:
        """Cancel these runs, running or queued."""
        ...


@dataclass
class TriageContext:
    """What the tasks of one triage work with. Made by the host's TriageHandler; lives as long as the run."""

    run_id: UUID
    started_at: datetime
    runtime: Runtime
    store: Store
    agents: Agents
    secrets_dir: Path
    lease: timedelta = timedelta(minutes=1)
    has_sandbox: bool = True
    cancellation: Cancellation = field(default_factory=Cancellation)
    is_suspending: bool = field(default=False, init=False)
    """True once the host stops: another host, or this one later, resumes the triage."""

    @property
    def files(self) -> Path:
        """The directory of what its listing brought besides values, e.g. attachments; removed at its end."""
        return self.runtime.settings.state_dir / "triage" / "files" / str(self.run_id)

    def suspend(self) -> None:
        """Leave the triage to be resumed, because its host stops."""
        self.is_suspending = True


_current: ContextVar[TriageContext] = ContextVar("triage_context")


def current_triage() -> TriageContext:
    """Return the triage whose task calls this. Raises NotConfigured outside of a host."""
    try:
        return _current.get()
    except LookupError:
        raise NotConfigured("triage works inside a host; start one with `agent-service up`") from None


@contextmanager
def triaging(context: TriageContext) -> Iterator[TriageContext]:
    """Make `context` the current triage in the block."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)
