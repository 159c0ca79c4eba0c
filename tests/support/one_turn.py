"""One turn on a runtime, without Prefect: a process of its own, as a run without a host gets it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agent.claude.turn import Turn
from agent.domain.checkout import Checkout
from agent.domain.events import Event, Sink
from agent.domain.request import AgentRequest
from agent.pool.slots import Slot
from agent.runtime import Runtime


def _ignore(event: Event) -> None: ...


@asynccontextmanager
async def start_turn(
    runtime: Runtime,
    run_id: str,
    request: AgentRequest,
    slot: Slot,
    checkout: Checkout,
    sink: Sink = lambda event: None,
) -> AsyncIterator[Turn]:
    """Give the turn of a process in `slot`; raises what `Runtime.start_process` does."""
    async with (
        runtime.start_process(run_id, request, slot, checkout) as started,
        runtime.start_turn(run_id, started, request, checkout, sink) as turn,
    ):
        yield turn
