"""How often Prefect is asked for runs, by a worker that has nothing to do."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from prefect.client.schemas.filters import FlowRunFilter, WorkPoolFilter
from waiting import until

from deployments.prefect_client.watch import Watches
from deployments.settings import HostSettings
from deployments.worker import worker as module
from deployments.worker.run_handlers import RunHandler
from deployments.worker.worker import AgentHostWorker

pytestmark = pytest.mark.anyio


class Prefect:
    """Prefect's API as far as a worker without a run asks it."""

    def __init__(self) -> None:
        self.due = 0
        self.filters: list[tuple[FlowRunFilter, WorkPoolFilter]] = []
        self.asked = 0
        self.is_away = False

    async def count_flow_runs(self, *, flow_run_filter: FlowRunFilter, work_pool_filter: WorkPoolFilter) -> int:
        if self.is_away:
            raise httpx.ConnectError("refused")
        self.filters.append((flow_run_filter, work_pool_filter))
        return self.due

    async def get_scheduled_flow_runs_for_work_pool(self, **_options: Any) -> list[Any]:
        self.asked += 1
        return []


@pytest.fixture
def prefect() -> Prefect:
    return Prefect()


@pytest.fixture
def worker(prefect: Prefect) -> AgentHostWorker:
    records = SimpleNamespace(host_id="host", claim="taken")
    host = SimpleNamespace(settings=HostSettings(), records=records, watches=Watches())
    handler = SimpleNamespace(host=host, pool="agents", is_held=False, queued=asyncio.Event())
    worker = AgentHostWorker(cast("RunHandler[Any]", handler))
    worker._client = cast(Any, prefect)
    return worker


async def test_runs_are_only_asked_for_while_some_may_be_due(worker: AgentHostWorker, prefect: Prefect) -> None:
    assert not await worker._take_one()  # the first time it shows up
    for due, asked in ((0, 1), (0, 1), (3, 2), (0, 2)):
        prefect.due = due
        assert not await worker._take_one()
        assert prefect.asked == asked
    [*_, (runs, pools)] = prefect.filters
    assert runs.state is not None
    assert runs.state.type is not None
    assert runs.state.type.any_ == ["SCHEDULED"]
    assert runs.next_scheduled_start_time is not None
    assert pools.name is not None
    assert pools.name.any_ == ["agents"]


async def test_it_shows_up_all_the_same_or_its_queues_would_count_as_not_ready(
    worker: AgentHostWorker, prefect: Prefect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SHOW_SECONDS", 0.05)
    await worker._take_one()
    await asyncio.sleep(0.06)
    await worker._take_one()
    assert (prefect.asked, prefect.filters) == (2, [])


async def test_a_prefect_that_was_away_is_asked_again(
    worker: AgentHostWorker, prefect: Prefect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.01)
    await worker._take_one()
    prefect.is_away, prefect.due = True, 1
    taking = asyncio.create_task(worker._take_runs())
    await until(lambda: "cannot take runs from the work pool agents" in caplog.text, "it says so")
    prefect.is_away = False
    worker._queued.set()
    await until(lambda: prefect.asked == 2, "it is asked again")
    taking.cancel()
