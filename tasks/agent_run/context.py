"""What the tasks of one run work with, bound by the host that runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from agent.domain.checkout import Checkout, Resumption
from agent.domain.errors import NotConfigured
from agent.domain.result import Invocation, Outcome
from agent.pool.slots import Slot
from agent.runtime import Runtime
from store.store import Store
from tasks.agent_run.early_start import EarlyStart
from tasks.cancellation import Cancellation


@dataclass
class RunContext:
    """One run on its host."""

    run_id: UUID
    runtime: Runtime
    store: Store
    slot: Slot
    checkout: Checkout | None = None
    invocation: Invocation | None = None
    cancellation: Cancellation = field(default_factory=Cancellation)
    head_start: EarlyStart | None = None
    """What has been begun for it ahead of its tasks."""
    resumption: Resumption | None = None
    """What the run goes on with, if an earlier host has begun it."""
    note_checkout: Callable[[Checkout], None] = lambda checkout: None
    """Told once the agent's checkout is ready."""
    can_part: bool = False
    """The run can be left in the middle, to be carried on."""
    is_parting: bool = False
    """The host stops, and leaves it so."""
    held_until: Callable[[], datetime | None] = lambda: None
    """Until when the provider refuses everybody, if it does, and if this run can wait for that."""
    asked_at: datetime | None = None
    """When a caller who waits asked for the run."""
    ended: Outcome | None = None
    """What the run came to, once the journal has its last event."""
    step: Callable[[str], AbstractContextManager[Any]] = nullcontext
    """Entered around each attempt of each task, with the task's name."""
    outcome: asyncio.Future[Outcome] = field(default_factory=asyncio.Future)
    """Done as soon as the caller can be answered, which is before the run's bookkeeping is."""

    @property
    def is_cancelled(self) -> bool:
        """Somebody wanted the run to end."""
        return self.cancellation.asked and not self.is_parting

    def cancel(self) -> None:
        """Have the run end, even if it was to be carried on."""
        self.is_parting = False
        self.cancellation.ask()

    async def leave_slot(self) -> None:
        """Have nothing of the run at work in its slot any more."""
        if self.head_start is not None:
            await self.head_start.close()

    def part(self) -> None:
        """Break the run off, to be carried on; nothing happens to one that cannot be, or is to end anyway."""
        if self.can_part and not self.cancellation.asked:
            self.is_parting = True
            self.cancellation.ask()


_current: ContextVar[RunContext] = ContextVar("run_context")


def current_run() -> RunContext:
    """The run whose task this is; raises NotConfigured outside of a host."""
    try:
        return _current.get()
    except LookupError:
        raise NotConfigured("agent_run works inside a host; start one with `agent-service up`") from None


@contextmanager
def running(context: RunContext) -> Iterator[RunContext]:
    """While this is open, `current_run` is `context`."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def step(
    work: Callable[Parameters, Coroutine[Any, Any, Result]],
) -> Callable[Parameters, Coroutine[Any, Any, Result]]:
    """The same work, each attempt of it a step of its run; goes below Prefect's own decorator."""

    @wraps(work)
    async def watched(*arguments: Parameters.args, **options: Parameters.kwargs) -> Result:
        with current_run().step(work.__name__):
            return await work(*arguments, **options)

    return watched
