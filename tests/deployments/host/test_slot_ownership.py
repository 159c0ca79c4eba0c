"""Whatever fails, and at whichever await: each slot comes back, once, and nothing of the run is left."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import httpx
import pytest
from failing_await import FailingAwait
from prefect.client.schemas.objects import FlowRun
from prefect.states import Completed, Pending
from waiting import until

from agent.domain.request import AgentRequest
from agent.settings import AgentSettings
from deployments.host import execution
from deployments.host.host import Host
from deployments.settings import HostSettings
from deployments.worker import worker as worker_module
from deployments.worker.resumption import Resumptions
from deployments.worker.run_handlers import AgentRunHandler
from deployments.worker.worker import AgentHostWorker
from store.store import open_store

pytestmark = pytest.mark.anyio

FLOW = uuid4()
ERRORS = [OSError(28, "No space left on device"), None]


class Prefect:
    """Prefect's API as far as a run and its worker ask it; each call suspends."""

    def __init__(self) -> None:
        self.due: list[FlowRun] = []

    async def count_flow_runs(self, **_filters: Any) -> int:
        await asyncio.sleep(0)
        return len(self.due)

    async def get_scheduled_flow_runs_for_work_pool(self, **_options: Any) -> list[Any]:
        await asyncio.sleep(0)
        return [SimpleNamespace(flow_run=flow_run) for flow_run in self.due]

    async def read_flow_by_name(self, name: str) -> Any:
        await asyncio.sleep(0)
        return SimpleNamespace(id=FLOW)

    async def read_flow_runs(self, **_filters: Any) -> list[FlowRun]:
        await asyncio.sleep(0)
        return []

    async def update_flow_run(self, *_arguments: Any, **_members: Any) -> None:
        await asyncio.sleep(0)

    update_flow_run_labels = update_flow_run

    async def request(self, method: str, path: str, json: Any) -> httpx.Response:
        await asyncio.sleep(0)
        return httpx.Response(201, json=a_run().model_dump(mode="json"))


def a_run(**request: Any) -> FlowRun:
    return FlowRun(
        id=uuid4(),
        name="a run",
        flow_id=FLOW,
        deployment_id=uuid4(),
        parameters={"request": request},
        state=Pending(),
        created=datetime.now(UTC),
    )


@pytest.fixture
async def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Host]:
    """A host whose engine needs no Prefect server."""

    async def run_flow(*_arguments: Any, **_options: Any) -> Any:
        for _ in range(3):
            await asyncio.sleep(0)
        return Completed()

    async def propose(*_arguments: Any, **_options: Any) -> Any:
        await asyncio.sleep(0)
        return Pending()

    monkeypatch.setattr(execution, "run_flow_async", run_flow)
    monkeypatch.setattr(worker_module, "propose_state", propose)
    async with open_store(f"sqlite:///{tmp_path}/store.sqlite3") as store:
        settings = AgentSettings(state_dir=tmp_path, agent_capacity=2)
        yield Host(settings, HostSettings(min_free_disk_mb=0), store, cast(Any, Prefect()))


async def at_each_await(
    host: Host, work: Callable[[], Coroutine[Any, Any, Any]], tasks: Callable[[], list[asyncio.Task[Any]]]
) -> int:
    """Let `work` fail at its first await, at its second, and so on until it comes to its end; gives their number."""
    for number in itertools.count(1):
        failed = False
        for error in ERRORS:
            attempt = FailingAwait(work(), number, error)

            async def one(attempt: FailingAwait = attempt) -> None:
                await attempt

            await asyncio.gather(asyncio.create_task(one()), return_exceptions=True)
            failed = failed or attempt.has_failed
            await asyncio.gather(*tasks(), return_exceptions=True)
            await until(lambda: is_clean(host), f"nothing is left after await {number} failed with {error!r}")
        if not failed:
            return number - 1
    raise AssertionError


def is_clean(host: Host) -> bool:
    slots = host.runtime.slots
    return (
        slots.free == slots.capacity
        and len({slot.index for slot in slots.all_free()}) == slots.capacity
        and not slots.waiting
        and not host.records.running
        and not host.cancellations.all_running()
        and not host.execution._running
        and not host.inline._runs
    )


def worker_of(host: Host) -> AgentHostWorker:
    worker = AgentHostWorker(AgentRunHandler(host, Resumptions(host)))
    worker._client = cast(Any, host.prefect)
    return worker


@pytest.mark.parametrize("on_crash", ["fail", "resume"])
async def test_a_worker_that_takes_a_run(host: Host, on_crash: str) -> None:
    worker = worker_of(host)

    def take() -> Coroutine[Any, Any, Any]:
        cast(Any, host.prefect).due = [a_run(on_crash=on_crash)]
        return worker._take_one()

    assert await at_each_await(host, take, lambda: list(worker._runs.values())) >= 3


@pytest.mark.parametrize("on_crash", ["fail", "resume"])
async def test_a_run_that_a_worker_has_started(host: Host, on_crash: str) -> None:
    worker = worker_of(host)

    async def start() -> None:
        flow_run, slot = a_run(on_crash=on_crash), await worker._handler.acquire()
        slot.close_with(cast(Any, asyncio.current_task()))
        await worker._run(flow_run, slot)

    assert await at_each_await(host, start, lambda: []) >= 4


async def test_a_caller_that_waits(host: Host) -> None:
    async def chat() -> None:
        async with host.inline.start(AgentRequest(agent="a", prompt="p"), tags=[], wait_seconds=5) as run:
            await run.outcome()

    assert await at_each_await(host, chat, lambda: [run._task for run in host.inline._runs]) >= 2


@pytest.mark.parametrize("full", ["touch", "write"])
async def test_a_disk_that_is_full_takes_no_slot(host: Host, full: str, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = worker_of(host)

    def no_space(*_arguments: Any, **_options: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.touch" if full == "touch" else "deployments.host.run_records.write", no_space)
        for _ in range(3):
            cast(Any, host.prefect).due = [a_run(on_crash="resume"), a_run(on_crash="resume")]
            assert await worker._take_one()
            await asyncio.gather(*worker._runs.values(), return_exceptions=True)
        await until(lambda: is_clean(host), "both slots are free")
    cast(Any, host.prefect).due = [a_run()]
    assert await worker._take_one()


async def test_a_run_of_a_foreign_flow_gives_its_slot_back_once(host: Host) -> None:
    """The state of such a run is set after its slot is given back, and that may be cancelled."""
    worker = worker_of(host)
    proposing = asyncio.Event()

    async def propose(*_arguments: Any) -> None:
        proposing.set()
        await asyncio.Event().wait()

    worker._propose_crashed_state = propose  # type: ignore[method-assign, assignment]
    flow_run = a_run()
    flow_run.flow_id = uuid4()
    worker._start(flow_run, await worker._handler.acquire())
    await asyncio.wait_for(proposing.wait(), 30)
    assert host.runtime.slots.free == 2
    [task] = worker._runs.values()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await until(lambda: not worker._runs, "it is over")
    assert is_clean(host)
    slot = await host.runtime.slots.acquire()
    host.runtime.slots.release(slot)
    with pytest.raises(ValueError, match="released twice"):
        host.runtime.slots.release(slot)
