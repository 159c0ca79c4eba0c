"""Run observers and their events: started, event, task attempt, finished."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from agent.domain.checkout import Checkout
from agent.domain.events import Event, bound
from agent.domain.result import Outcome
from agent.workspaces.agent_definitions import agent_name, short_name
from deployments.telemetry.logs import about_run
from tasks.agent_run.context import RunContext

TRIGGERS = frozenset({"chat", "execute", "prefect", "rerun", "schedule", "triage"})
"""The triggers with a label value each; all others are counted as `other`."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ObservedRun:
    """A run as its observers see it, from the moment it has its slot."""

    run_id: UUID
    trigger: str
    asked_agent: str
    waited_seconds: float | None
    """From the request, or the due time, to the slot; None for a run that is resumed or tried again."""
    context: RunContext

    @property
    def agent(self) -> str:
        """The agent's name; read from its definition once the run has its checkout."""
        if self.checkout is None:
            return short_name(self.asked_agent)
        return agent_name(self.asked_agent, self.checkout.path)

    @property
    def checkout(self) -> Checkout | None:
        """The checkout of the run, once there is one."""
        return self.context.checkout


class RunWatch(Protocol):
    """Observes one run. Its methods are called on the event loop and must not block."""

    def on_event(self, event: Event) -> None:
        """Take the next event of the agent."""

    def step(self, name: str) -> AbstractContextManager[Any]:
        """Return what is entered for each attempt of a task."""

    def end(self, outcome: Outcome | None) -> None:
        """Take the end of the run; None: it leaves this host without an end, to be resumed or tried again."""


class Observer(Protocol):
    """Observes all runs of a host."""

    def watch(self, run: ObservedRun) -> RunWatch:
        """Return the watch of this run."""


class RunObservation:
    """The watches of one run; made before the run's context, which needs `step`. An observer's error is only logged."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers
        self._watches: list[RunWatch] = []

    @contextmanager
    def opened(self, run: ObservedRun) -> Iterator[None]:
        """While this is open the run is observed, and log lines name it."""
        self._watches += [watch for one in self._observers if (watch := _safely(one.watch, run)) is not None]
        with about_run(run.run_id), ExitStack() as stack:
            for watch in self._watches:
                stack.enter_context(bound(_event_sink(watch)))
            try:
                yield
            finally:
                for watch in self._watches:
                    _safely(watch.end, run.context.ended)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """While this is open the run is in an attempt of the task `name`."""
        with ExitStack() as stack:
            for watch in self._watches:
                stack.enter_context(_safely(watch.step, name) or nullcontext())
            yield


def _event_sink(watch: RunWatch) -> Callable[[Event], None]:
    return lambda event: _safely(watch.on_event, event)


def _safely(call: Callable[..., Any], *arguments: object) -> Any:
    try:
        return call(*arguments)
    except Exception:
        _log.exception("a run could not be observed")
        return None
