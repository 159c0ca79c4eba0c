"""Prefect's flow engine in a process that runs many flows at once: without what only makes the others wait."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from prefect import flow_engine
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import FlowRunCreate
from prefect.client.schemas.objects import FlowRun, FlowRunPolicy, State
from prefect.states import to_state_create

SUSPENSION = "observe_flow_run_suspension"
"""In Prefect 3.8.8: a thread with a websocket of its own for each run of a deployment, which the event loop waits for
at the run's beginning and at its end, 50 to 700 ms each time. None of our flows is ever suspended."""


def do_without_suspension() -> None:
    """From now on no run of this process is watched for a suspension."""
    if not hasattr(flow_engine, SUSPENSION):
        raise RuntimeError(f"prefect.flow_engine has no {SUSPENSION} any more; this service is for Prefect 3.8.8")
    setattr(flow_engine, SUSPENSION, _not_observed)


@contextlib.contextmanager
def _not_observed(*_arguments: Any) -> Iterator[None]:
    yield


def spare_the_loop() -> None:
    """Once all is imported: let the garbage collector pass by what will never be garbage.

    A full collection of Prefect's 190,000 objects holds the process for 130 to 180 ms.
    """
    gc.collect()
    gc.freeze()


def watch_children_without_threads(loop: asyncio.AbstractEventLoop) -> None:
    """Learn of a child's end by its pidfd, as Python does from 3.12 on, and not by a thread for each child."""
    if sys.version_info < (3, 12):
        watcher = asyncio.PidfdChildWatcher()
        watcher.attach_loop(loop)
        asyncio.set_child_watcher(watcher)


async def create_run(
    client: PrefectClient,
    flow_id: UUID,
    name: str,
    parameters: dict[str, Any],
    state: State[Any],
    *,
    tags: list[str],
    labels: dict[str, Any],
) -> FlowRun:
    """A run of a flow that is known: `PrefectClient.create_flow_run` would ask for its id each time."""
    run = FlowRunCreate(
        flow_id=flow_id,
        name=name,
        parameters=parameters,
        tags=tags,
        labels=labels,
        state=to_state_create(state),
        empirical_policy=FlowRunPolicy(retries=0, retry_delay=0),
    )
    answer = await client.request("POST", "/flow_runs/", json=run.model_dump(mode="json", exclude_unset=True))
    created = FlowRun.model_validate(answer.json())
    created.parameters = parameters
    return created
