"""A concurrency lease that Prefect loses ends no run, and an end that a run has in Prefect is not changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
import respx
from prefect import flow, flow_engine
from prefect.client.orchestration import get_client
from prefect.exceptions import Abort
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_CSRF_SUPPORT_ENABLED,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)
from prefect.states import Cancelling, Completed, Failed, Pending
from prefect_rest import PrefectRest, held_clients
from waiting import until

from deployments.prefect_client import engine_changes
from deployments.prefect_client.engine_changes import (
    LEASE,
    PROPOSAL,
    SUSPENSION,
    adapt_engine,
    guarding_end,
    keep_lease,
)

pytestmark = pytest.mark.anyio

API = "http://prefect.example/api"


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine is as it was after each test."""
    for name in (SUSPENSION, LEASE, PROPOSAL):
        monkeypatch.setattr(flow_engine, name, getattr(flow_engine, name))


@pytest.fixture
def renewals(monkeypatch: pytest.MonkeyPatch) -> Iterator[respx.Route]:
    monkeypatch.setattr(engine_changes, "_RENEWAL_RETRY_SECONDS", 0.01)
    settings = {PREFECT_API_URL: API, PREFECT_CLIENT_MAX_RETRIES: 0, PREFECT_CLIENT_CSRF_SUPPORT_ENABLED: False}
    with temporary_settings(settings), respx.mock:
        yield respx.post(url__regex=rf"{API}/v2/concurrency_limits/leases/.*/renew")


def away(status: int) -> httpx.Response:
    return httpx.Response(status, json={"detail": "away"}, headers={"retry-after": "0"})


async def test_a_lease_is_renewed_through_an_outage(renewals: respx.Route) -> None:
    renewals.side_effect = [*[away(503)] * 8, httpx.ReadError("cut"), away(500), *[httpx.Response(204)] * 100]
    async with keep_lease(uuid4(), 0.3, raise_on_lease_renewal_failure=True):
        await until(lambda: renewals.call_count >= 14, "it is renewed again and again")


async def test_a_lost_lease_is_said_once_and_ends_nothing(
    renewals: respx.Route, caplog: pytest.LogCaptureFixture
) -> None:
    renewals.side_effect = [httpx.Response(204), away(503), away(410)]
    done = False
    async with keep_lease(uuid4(), 0.03, raise_on_lease_renewal_failure=True):
        await until(lambda: "Prefect has lost a concurrency lease" in caplog.text, "it says so")
        await asyncio.sleep(0.1)
        done = True
    assert done
    assert renewals.call_count == 3


@pytest.mark.usefixtures("prefect_settings")
async def test_leases_of_the_embedded_server_are_on_disk(rest: PrefectRest, prefect_server: Any) -> None:
    name = uuid4().hex
    (await rest.client.post("/v2/concurrency_limits/", json={"name": name, "limit": 1})).raise_for_status()
    lease = {"names": [name], "slots": 1, "mode": "concurrency", "lease_duration": 300}
    taken = await rest.client.post("/v2/concurrency_limits/increment-with-lease", json=lease)
    taken.raise_for_status()
    stored = prefect_server.log.parent / "concurrency_leases" / f"{taken.json()['lease_id']}.json"
    assert stored.is_file()


class Ending:
    """A guard that lets a run end as long as it was not given up."""

    def __init__(self) -> None:
        self.asked = 0
        self.given_up = False

    async def __call__(self) -> None:
        self.asked += 1
        if self.given_up:
            raise Abort("given up")


@pytest.mark.usefixtures("prefect_settings")
@pytest.mark.parametrize("end", [Completed, Failed, Cancelling])
async def test_a_run_that_was_given_up_keeps_that_end(rest: PrefectRest, end: Any) -> None:
    adapt_engine()
    ending = Ending()

    @flow(persist_result=False)
    async def work(run_id: str) -> Any:
        crashed = {"state": {"type": "CRASHED", "message": "its host died"}, "force": True}
        (await rest.client.post(f"/flow_runs/{run_id}/set_state", json=crashed)).raise_for_status()
        ending.given_up = True
        return end()

    async with held_clients(), get_client() as client:
        flow_run = await client.create_flow_run(work, parameters={}, state=Pending())
        with guarding_end(ending), pytest.raises(Abort, match="given up"):
            await flow_engine.run_flow_async(
                work, flow_run=flow_run, parameters={"run_id": str(flow_run.id)}, return_type="state"
            )
        state = (await client.read_flow_run(flow_run.id)).state
    assert state is not None
    assert (state.name, state.message) == ("Crashed", "its host died")
    assert ending.asked == 1
