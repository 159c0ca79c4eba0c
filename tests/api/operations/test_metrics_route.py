"""/metrics wants the token unless a setting opens it, and never waits long."""

from __future__ import annotations

import httpx
from fake_host import FakeHost, client_of, settings

from deployments.holds.disk_space import MB


async def test_metrics_want_the_token(host: FakeHost) -> None:
    async with client_of(host, token=None) as client:
        assert (await client.get("/metrics")).status_code == 401
    async with client_of(host, token="wrong") as client:
        assert (await client.get("/metrics")).json() == {"detail": "Invalid token"}


async def test_a_setting_opens_metrics_and_nothing_else(host: FakeHost) -> None:
    async with client_of(host, settings(metrics_open=True), token=None) as client:
        assert (await client.get("/metrics")).status_code == 200
        assert (await client.get("/jobs")).status_code == 401


async def test_metrics_are_prometheus_text(client: httpx.AsyncClient, host: FakeHost) -> None:
    answer = await client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "agent_service_slots 2.0" in answer.text.splitlines()


async def test_a_prefect_that_is_slow_costs_a_scrape_a_second_and_the_number_of_jobs(
    client: httpx.AsyncClient, host: FakeHost
) -> None:
    host.delay_seconds = 600
    answer = await client.get("/metrics")
    assert 'agent_service_queue_depth{queue="chat"} 0.0' in answer.text
    assert 'queue="jobs"' not in answer.text
    await host.metrics.queue.close()


async def test_health_is_busy_on_a_full_disk_and_says_why(client: httpx.AsyncClient, host: FakeHost) -> None:
    host.disk_free = 499 * MB
    answer = await client.get("/health")
    assert answer.status_code == 200
    assert (answer.json()["busy"], answer.json()["disk"]) == (True, "low")
    assert "agent_service_disk_low 1.0" in (await client.get("/metrics")).text
