"""Who goes first, and when: priorities, a moment to start, keys, and what an operator sets in Prefect."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from job_client import Jobs

if TYPE_CHECKING:
    from conftest import Service

pytestmark = pytest.mark.anyio

BODY = {"agent": "recruiter-triage", "prompt": 'offline-model: {"text": "done"}'}


async def times(service: Service, job_id: str) -> tuple[datetime, datetime]:
    """When the run started and ended."""
    async with service.prefect() as prefect:
        run: dict[str, Any] = (await prefect.get(f"/flow_runs/{job_id}")).json()
    return datetime.fromisoformat(run["start_time"]), datetime.fromisoformat(run["end_time"])


async def set_limit(service: Service, limit: int | None) -> None:
    async with service.prefect() as prefect:
        answer = await prefect.patch("/work_pools/agents", json={"concurrency_limit": limit})
        answer.raise_for_status()


async def test_the_pools_limit_serialises_runs_and_high_priority_goes_first(jobs: Jobs, service: Service) -> None:
    await set_limit(service, 1)
    try:
        (await jobs.client.post("/pause")).raise_for_status()
        low = await jobs.start({"text": "last"}, priority="low")
        default = await jobs.start({"text": "second"})
        high = await jobs.start({"text": "first"}, priority="high")
        (await jobs.client.post("/resume")).raise_for_status()
        for job_id in (high, default, low):
            assert (await jobs.finished(job_id))["status"] == "completed"
    finally:
        await set_limit(service, None)
        (await jobs.client.post("/resume")).raise_for_status()
    first, second, third = [await times(service, job_id) for job_id in (high, default, low)]
    assert first[1] <= second[0] <= second[1] <= third[0]


async def test_a_paused_queue_holds_its_jobs_and_no_others(jobs: Jobs, service: Service) -> None:
    async with service.prefect() as prefect:
        queue = (await prefect.get("/work_pools/agents/queues/low")).json()
        path = f"/work_queues/{queue['id']}"
        (await prefect.patch(path, json={"is_paused": True})).raise_for_status()
        try:
            held = await jobs.start({"text": "at last"}, priority="low")
            other = await jobs.start({"text": "at once"})
            assert (await jobs.finished(other))["status"] == "completed"
            assert (await jobs.read(held))["state"] in ("Scheduled", "Late")
        finally:
            (await prefect.patch(path, json={"is_paused": False})).raise_for_status()
    assert (await jobs.finished(held))["status"] == "completed"


async def test_a_job_starts_when_it_is_to(jobs: Jobs, service: Service) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=3)
    job_id = await jobs.start({"text": "on time"}, run_at=moment.isoformat())
    assert (await jobs.finished(job_id))["result"] == "on time"
    assert (await times(service, job_id))[0] >= moment


async def test_a_moment_without_a_zone_or_an_unknown_priority_is_refused(jobs: Jobs) -> None:
    for member in ({"run_at": "2030-01-01T00:00:00"}, {"priority": "urgent"}):
        assert (await jobs.client.post("/execute", json=BODY | member)).status_code == 422


async def test_the_same_key_and_body_is_the_same_job_and_another_body_is_refused(jobs: Jobs) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    answers = await asyncio.gather(*(jobs.client.post("/execute", json=BODY, headers=headers) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {202}
    [job_id] = {answer.json()["job_id"] for answer in answers}
    assert (await jobs.finished(job_id))["status"] == "completed"
    again = await jobs.client.post("/execute", json=BODY, headers=headers)
    assert again.json()["job_id"] == job_id
    other = await jobs.client.post("/execute", json=BODY | {"max_budget_usd": 1}, headers=headers)
    assert other.status_code == 409
    assert "Idempotency-Key" in other.json()["detail"]
