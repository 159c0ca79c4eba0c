"""Metrics of runs: counts, waiting time, duration, cost; bounded label values."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from agent.domain.events import Event, Started
from agent.domain.result import AgentResult, Outcome
from deployments.telemetry.model_usage import usage_by_model
from deployments.telemetry.observers import TRIGGERS, ObservedRun
from tasks.agent_run.outcome import status_of

MOST_AGENTS = 50
"""Agents with a label value each. Their names come from callers, and each costs some forty series."""

MOST_MODELS = 30

_WAITS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900, 3600, 14_400)
_STARTS = (0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 20, 40, 90)
_RUNS = (1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 2700, 5400, 14_400)


class RunMetrics:
    """Counts the runs of a host; an observer, one per host. The number of its series is bounded."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.agents = Names(MOST_AGENTS)
        self.models = Names(MOST_MODELS)
        self.finished = Counter(
            "agent_service_runs_finished",
            "Runs that came to an end on this host; outcome: completed, failed, timeout or error. "
            "agent: 'unknown' where no agent of that name has started yet.",
            ["agent", "trigger", "outcome"],
            registry=registry,
        )
        self.at_work = Gauge("agent_service_runs_at_work", "Runs that have a slot now.", ["trigger"], registry=registry)
        self.wait = Histogram(
            "agent_service_queue_wait_seconds",
            "From the moment that a run was asked for, or due, to its slot.",
            ["trigger"],
            buckets=_WAITS,
            registry=registry,
        )
        self.start = Histogram(
            "agent_service_agent_start_seconds",
            "From the slot to the agent's first event: workspace and CLI.",
            buckets=_STARTS,
            registry=registry,
        )
        self.duration = Histogram(
            "agent_service_run_duration_seconds",
            "From the agent's start to its end.",
            ["agent"],
            buckets=_RUNS,
            registry=registry,
        )
        self.tokens = Counter(
            "agent_service_tokens",
            "Tokens of finished runs; kind: prompt (read anew), cached (read from the cache), completion.",
            ["model", "kind"],
            registry=registry,
        )
        self.dollars = Counter(
            "agent_service_cost_dollars", "What finished runs cost, in US dollars.", ["model"], registry=registry
        )
        self.stale = Counter(
            "agent_service_stale_runs",
            "Runs that began with an old state of their workspace, for its remote was away.",
            ["workspace"],
            registry=registry,
        )
        self.fetched = Gauge(
            "agent_service_workspace_fetched_timestamp_seconds",
            "When the state of the workspace was fetched that its last run began with.",
            ["workspace"],
            registry=registry,
        )
        for trigger in TRIGGERS:
            self.at_work.labels(trigger)

    def watch(self, run: ObservedRun) -> RunCount:
        """Return the watch that counts this run."""
        return RunCount(self, run)


class RunCount:
    """The watch of one run; made by `RunMetrics.watch`."""

    def __init__(self, metrics: RunMetrics, run: ObservedRun) -> None:
        self._metrics = metrics
        self._run = run
        self._began = time.monotonic()
        self._agent: str | None = None
        metrics.at_work.labels(run.trigger).inc()
        if run.waited_seconds is not None:
            metrics.wait.labels(run.trigger).observe(run.waited_seconds)

    def on_event(self, event: Event) -> None:
        """Take the agent's start."""
        # the CLI starts only with an agent that it knows: from then on the name may become a label
        if isinstance(event, Started) and self._agent is None:
            self._agent = self._metrics.agents.learn(self._run.agent)
            self._metrics.start.observe(time.monotonic() - self._began)

    def step(self, name: str) -> AbstractContextManager[object]:
        """Return nothing to enter: attempts of tasks are not counted."""
        return nullcontext()

    def end(self, outcome: Outcome | None) -> None:
        """Count the run, unless it ends here only to go on later."""
        self._metrics.at_work.labels(self._run.trigger).dec()
        self._note_workspace()
        if outcome is None:
            return
        agent = self._agent or self._metrics.agents.label_of(self._run.agent)
        self._metrics.finished.labels(agent, self._run.trigger, status_of(outcome)).inc()
        if outcome.result is not None:
            self._metrics.duration.labels(agent).observe(max(0.0, outcome.result.duration_seconds))
            self._count_usage(outcome.result)

    def _count_usage(self, result: AgentResult) -> None:
        for name, use in usage_by_model(result).items():
            model = self._metrics.models.learn(name)
            for kind in ("prompt", "cached", "completion"):
                self._metrics.tokens.labels(model, kind).inc(getattr(use, kind))
            self._metrics.dollars.labels(model).inc(use.dollars)

    def _note_workspace(self) -> None:
        """Record the age of the workspace; its name may be a label, for operators name few."""
        checkout = self._run.checkout
        if checkout is None:
            return
        snapshot = checkout.snapshot
        self._metrics.fetched.labels(snapshot.workspace).set(snapshot.fetched_at.timestamp())
        stale = self._metrics.stale.labels(snapshot.workspace)
        if snapshot.stale:
            stale.inc()


UNKNOWN = "unknown"
OTHER = "other"

LONGEST = 100


class Names:
    """The label values of one label: the first `most` names, then `other`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._names: set[str] = set()

    def learn(self, name: str) -> str:
        """Return the label value of a name that exists, and remember it."""
        short = name[:LONGEST]
        if short not in self._names and len(self._names) >= self._most:
            return OTHER
        self._names.add(short)
        return short

    def label_of(self, name: str) -> str:
        """Return the label value of a name that a caller made up: `unknown` unless it was learnt before."""
        short = name[:LONGEST]
        return short if short in self._names else UNKNOWN
