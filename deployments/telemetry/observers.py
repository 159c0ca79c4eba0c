"""Runs as those see them who count and trace: from a host's slot to the end, each event, each task."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

from prefect.client.schemas.objects import FlowRun

from agent.domain.events import Event, bound
from agent.domain.result import Outcome
from agent.workspaces.agent_definitions import agent_name
from deployments.telemetry.logs import about_run
from tasks.agent_run.context import RunContext

TRIGGER = "trigger:"
TRIGGERS = frozenset({"chat", "execute", "prefect", "rerun", "schedule", "triage"})
"""Who asks for runs: nothing else is told apart."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ObservedRun:
    """What is known of a run when it gets its slot."""

    run_id: UUID
    trigger: str
    asked_agent: str
    waited_seconds: float | None
    """From the moment that it was asked for, or due, to its slot; None for one that had begun before."""
    context: RunContext

    @property
    def agent(self) -> str:
        """The agent's name, whichever way it was asked for; exact once the run has its checkout."""
        checkout = self.context.checkout
        if checkout is not None:
            return agent_name(self.asked_agent, checkout.path)
        return self.asked_agent.rpartition("/")[2].removesuffix(".md")


class RunWatch(Protocol):
    """Watches one run; nothing of it may wait."""

    def hear(self, event: Event) -> None:
        """What the agent does."""

    def step(self, name: str) -> AbstractContextManager[Any]:
        """Open while the run is in that task; each attempt is a step of its own."""

    def end(self, outcome: Outcome | None) -> None:
        """The run is over; None: it leaves this host without an end, to go on later."""


class Observer(Protocol):
    """Watches every run of a host."""

    def watch(self, run: ObservedRun) -> RunWatch:
        """Whoever watches this one."""


@contextmanager
def watched(observers: Sequence[Observer], flow_run: FlowRun, context: RunContext) -> Iterator[None]:
    """While this is open the run is watched, and what is logged says which run it is about.

    A watcher that fails is a line in the log, and nothing to the run.
    """
    run = _describe(flow_run, context)
    watchers = [watcher for one in observers if (watcher := _safely(one.watch, run)) is not None]
    with about_run(flow_run.id), ExitStack() as stack:
        for watcher in watchers:
            stack.enter_context(bound(lambda event, hear=watcher.hear: _safely(hear, event)))  # type: ignore[misc]
        context.step = lambda name: _in_step(watchers, name)
        try:
            yield
        finally:
            for watcher in watchers:
                _safely(watcher.end, context.ended)


@contextmanager
def _in_step(watchers: Sequence[RunWatch], name: str) -> Iterator[None]:
    with ExitStack() as stack:
        for watcher in watchers:
            stack.enter_context(_safely(watcher.step, name) or nullcontext())
        yield


def _safely(call: Callable[..., Any], *arguments: object) -> Any:
    try:
        return call(*arguments)
    except Exception:
        _log.exception("a run could not be watched")
        return None


def _describe(flow_run: FlowRun, context: RunContext) -> ObservedRun:
    request = flow_run.parameters.get("request")
    return ObservedRun(
        run_id=flow_run.id,
        trigger=_trigger(flow_run),
        asked_agent=str(request.get("agent")) if isinstance(request, dict) else "",
        waited_seconds=_waited(flow_run, context),
        context=context,
    )


def _trigger(flow_run: FlowRun) -> str:
    named = next((tag.removeprefix(TRIGGER) for tag in flow_run.tags if tag.startswith(TRIGGER)), None)
    if named is None:
        return "schedule" if flow_run.auto_scheduled else "prefect"
    return named if named in TRIGGERS else "other"


def _waited(flow_run: FlowRun, context: RunContext) -> float | None:
    if context.resumption is not None or flow_run.run_count:
        return None
    since = context.asked_at or flow_run.expected_start_time
    return max(0.0, (datetime.now(UTC) - since).total_seconds()) if since is not None else None
