"""/health tells of load and never fails for it; /ready asks whoever the service stands on."""

import asyncio

import httpx
import pytest
from fake_host import FakeHost, client_of

from api.operations import health
from deployments.telemetry.capacity import Isolation
from store.errors import StoreUnavailable


async def test_health_is_open_and_says_that_an_agent_is_free(host: FakeHost) -> None:
    async with client_of(host, token=None) as client:
        answer = await client.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "busy": False,
        "capacity": {"agents": 2, "free": 2, "waiting": 0, "parked": 0},
        "watches": {"pauses": 1.0},
    }


async def test_health_under_load_is_busy_and_still_200(client: httpx.AsyncClient, host: FakeHost) -> None:
    slots = host.runtime.slots
    for _ in range(host.slots):
        await slots.acquire()
    line = [asyncio.create_task(slots.acquire()) for _ in range(3)]
    await asyncio.sleep(0)
    answer = await client.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "busy": True,
        "capacity": {"agents": 2, "free": 0, "waiting": 3, "parked": 0},
        "watches": {"pauses": 1.0},
    }
    for task in line:
        task.cancel()


async def test_health_says_that_there_are_no_cells(client: httpx.AsyncClient, host: FakeHost) -> None:
    host.isolation = Isolation("none", None, None)
    assert (await client.get("/health")).json()["sandbox"] == "none"


async def test_health_asks_nobody(client: httpx.AsyncClient, host: FakeHost) -> None:
    host.prefect.status = 0
    host.store.outcomes.failure = StoreUnavailable("gone")
    assert (await client.get("/health")).status_code == 200


async def test_ready_is_open_and_says_so(host: FakeHost) -> None:
    async with client_of(host, token=None) as client:
        answer = await client.get("/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "detail": ""})


@pytest.mark.parametrize("status", [401, 500, 0])
async def test_ready_names_what_does_not_answer(
    client: httpx.AsyncClient, host: FakeHost, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "TIMEOUT_SECONDS", 0.1)
    host.prefect.status = status
    answer = await client.get("/ready")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "not ready",
        "detail": "no answer from Prefect's API; the service's log has more",
    }


async def test_ready_keeps_addresses_to_itself(client: httpx.AsyncClient, host: FakeHost) -> None:
    host.prefect.status = 500
    host.store.outcomes.failure = StoreUnavailable("store at postgresql://inside/db: gone")
    answer = await client.get("/ready")
    assert answer.json()["detail"] == "no answer from Prefect's API and the store; the service's log has more"
