"""The context of one agent run, bound by the host: store, slot, sinks, current step."""

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
from agent.domain.request import AgentRequest
from agent.domain.result import Invocation, Outcome, Refusal
from agent.pool.slots import Slot
from agent.runtime import Runtime
from store.store import Store
from tasks.agent_run.early_start import EarlyStart
from tasks.cancellation import Cancellation


@dataclass
class RunContext:
    """What the tasks of one run work with. Made whole by the host's Execution; lives as long as the run."""

    run_id: UUID
    runtime: Runtime
    store: Store
    slot: Slot
    resumption: Resumption | None = None
    """The session and the files that the run goes on with, if an earlier host process began it."""
    can_suspend: bool = False
    """The run can be stopped in the middle, to be resumed."""
    on_checkout: Callable[[Checkout], None] = lambda checkout: None
    """Called once the agent's checkout is ready."""
    retry_at: Callable[[Refusal | None], datetime | None] = lambda refusal: None
    """Return when to try the run again that the provider refused; None if it is to fail now."""
    step: Callable[[str], AbstractContextManager[Any]] = nullcontext
    """Entered around each attempt of each task, with the task's name."""

    # what changes in the course of the run, by the methods below only
    checkout: Checkout | None = field(default=None, init=False)
    invocation: Invocation | None = field(default=None, init=False)
    is_suspending: bool = field(default=False, init=False)
    """The host stops and leaves the run to be resumed."""
    ended: Outcome | None = field(default=None, init=False)
    """The outcome of the run, once the journal has its last event."""
    early_start: EarlyStart | None = field(default=None, init=False)
    cancellation: Cancellation = field(default_factory=Cancellation, init=False)
    outcome: asyncio.Future[Outcome] = field(default_factory=asyncio.Future, init=False)
    """Done as soon as the caller can be answered, which is before the run's bookkeeping is."""

    @property
    def is_cancelled(self) -> bool:
        """True if the run was cancelled, and is not only suspended."""
        return self.cancellation.asked and not self.is_suspending

    @property
    def is_kept(self) -> Callable[[], bool] | None:
        """Return what says at the end of the process that its files stay; None if they never do."""
        return (lambda: self.is_suspending) if self.can_suspend else None

    def start_early(self, asked: AgentRequest, request: AgentRequest | None) -> None:
        """Prepare the checkout, and with the whole `request` the process, while Prefect's bookkeeping goes on."""
        self.early_start = EarlyStart(self.runtime, self.slot, str(self.run_id), asked, request, self.is_kept)

    def record_checkout(self, checkout: Checkout) -> None:
        """Record the checkout that the agent works in."""
        self.checkout = checkout
        if self.resumption is None:
            self.on_checkout(checkout)

    def record_invocation(self, invocation: Invocation) -> None:
        """Record what the agent's process gave so far."""
        self.invocation = invocation

    def record_end(self, outcome: Outcome) -> None:
        """Record the outcome that the journal ended with."""
        self.ended = outcome

    def cancel(self) -> None:
        """Cancel the run, even if it was being suspended."""
        self.is_suspending = False
        self.cancellation.ask()

    def suspend(self) -> None:
        """Stop the run so that it can be resumed. Does nothing if it cannot be, or is cancelled already."""
        if self.can_suspend and not self.cancellation.asked:
            self.is_suspending = True
            self.cancellation.ask()

    async def leave_slot(self) -> None:
        """End what was started ahead for the run in its slot."""
        if self.early_start is not None:
            await self.early_start.close()


_current: ContextVar[RunContext] = ContextVar("run_context")


def current_run() -> RunContext:
    """Return the run whose task calls this. Raises NotConfigured outside of a host."""
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
    """Make each attempt of the task a step of its run; goes below Prefect's own decorator."""

    @wraps(work)
    async def watched(*arguments: Parameters.args, **options: Parameters.kwargs) -> Result:
        with current_run().step(work.__name__):
            return await work(*arguments, **options)

    return watched
