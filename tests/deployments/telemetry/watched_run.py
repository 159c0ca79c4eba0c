"""A run as a host's observers see it, without a host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

from prefect.client.schemas.objects import FlowRun
from prefect.states import Running

from agent.domain.checkout import Checkout, Snapshot
from agent.domain.events import Started
from agent.domain.result import AgentResult, Outcome, Usage
from agent.pool.slots import Slot
from deployments.host.run_metadata import observed_run
from deployments.telemetry.observers import Observer, RunObservation
from tasks.agent_run.context import RunContext

BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MODEL_USAGE = (
    '{"type": "result", "modelUsage": {"claude-sonnet-4-6": {"inputTokens": 10, "outputTokens": 20, '
    '"cacheReadInputTokens": 30, "cacheCreationInputTokens": 40, "costUSD": 0.25}}}\n'
)


def outcome(output: str = MODEL_USAGE, error: str | None = None, **members: Any) -> Outcome:
    """What a run came to, in a minute, for a quarter of a dollar."""
    given: dict[str, Any] = {
        "started_at": BEGAN,
        "finished_at": BEGAN.replace(minute=5),
        "exit_code": 0,
        "output": [output],
        "stderr": "",
        "text": "done",
        "cost_usd": 0.25,
        "model": "claude-sonnet-4-6",
        "usage": Usage(input_tokens=10, output_tokens=20, cache_read_input_tokens=30, cache_creation_input_tokens=40),
    }
    return Outcome(result=AgentResult(**given | members), error=error)


STARTED = Started(session_id="s", model="claude-sonnet-4-6")


@contextmanager
def a_run(observers: Sequence[Observer], agent: str, *tags: str, **members: Any) -> Iterator[RunContext]:
    """A run in its slot, watched by `observers`; whoever has it says how it ends."""
    flow_run = FlowRun(
        id=uuid4(),
        flow_id=uuid4(),
        parameters={"request": {"agent": agent, "prompt": "p"}},
        tags=list(tags),
        state=Running(),
        **members,
    )
    slot = Slot(index=0, directory=Path("/nowhere"))
    nothing = cast(Any, SimpleNamespace())
    observation = RunObservation(observers)
    context = RunContext(flow_run.id, nothing, nothing, slot, step=observation.step)
    with observation.opened(observed_run(flow_run, context)):
        yield context


def checkout(*, stale: bool = False) -> Checkout:
    """A checkout of the default workspace, fetched at BEGAN."""
    snapshot = Snapshot(
        workspace="default", ref="main", commit="c", stale=stale, fetched_at=BEGAN, mirror=Path("/nowhere")
    )
    return Checkout(path=Path("/nowhere"), snapshot=snapshot, read_paths=())
