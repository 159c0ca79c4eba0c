"""A refusal that is one job's own: it is tried again for a minute, says why meanwhile, and holds nobody."""

from __future__ import annotations

import time
from typing import Any

import pytest
from job_client import Jobs

REFUSAL = {"status": 403, "message": "key not allowed to access model x", "headers": {"x-should-retry": "false"}}
SLOW = {"status": 429, "message": "slow down", "headers": {"retry-after": "1"}}


@pytest.mark.long
async def test_a_job_that_alone_is_refused_fails_with_the_providers_words(victim: Any) -> None:
    jobs = Jobs(victim.client, victim.stage)
    mark = f"own-{time.time_ns()}"
    refused = await jobs.start({"error": REFUSAL, "times": 99, "id": mark})
    await jobs.state(refused, "AwaitingRetry")
    told = await jobs.read(refused)
    assert "key not allowed" in told["waiting"]["reason"]
    assert (await jobs.finished(await jobs.start({"text": "done"})))["result"] == "done"
    assert "held" not in (await victim.client.get("/health")).json()
    job = await jobs.finished(refused, 180)
    assert job["status"] == "failed"
    assert "key not allowed to access model x" in str(job)


@pytest.mark.long
async def test_a_429_before_the_first_word_is_tried_again_as_an_overload_is(victim: Any) -> None:
    jobs = Jobs(victim.client, victim.stage)
    slowed = await jobs.start({"error": SLOW, "times": 7, "id": f"slow-{time.time_ns()}"}, {"text": "after all"})
    job = await jobs.finished(slowed, 180)
    assert (job["status"], job["result"]) == ("completed", "after all")
