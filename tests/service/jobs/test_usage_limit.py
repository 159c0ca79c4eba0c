"""The provider's usage limit, met by one job while others wait: nothing is burnt, and all of them complete."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from job_client import Jobs
from waiting import until

WAITING = int(os.environ.get("USAGE_LIMIT_JOBS", "1"))
SECONDS = int(os.environ.get("USAGE_LIMIT_SECONDS", "12"))


async def test_one_meets_it_and_the_others_wait_for_its_reset(victim: Any) -> None:
    jobs = Jobs(victim.client, victim.stage)
    reset = int(time.time()) + SECONDS
    refusal = {"status": 429, "message": f"usage limit reached|{reset}", "headers": {"x-should-retry": "false"}}
    met = await jobs.start({"error": refusal, "times": 1, "id": str(reset)}, {"text": "after all"})
    waiting = [await jobs.start({"text": f"done {reset}"}) for _ in range(WAITING)]
    await held(jobs)
    await asyncio.sleep(reset - time.time() - 1)
    assert sum(str(reset) in talk.prompt for talk in victim.model.conversations) == 1
    assert (await victim.client.get("/health")).json()["held"]["reason"] == "the provider's usage limit is reached"
    for job_id in [met, *waiting]:
        job = await jobs.finished(job_id, 180)
        assert (job["status"], job["result"]) == ("completed", "after all" if job_id == met else f"done {reset}")
    await until(lambda: not jobs.processes("claude"), "nothing is left", 60)


async def held(jobs: Jobs) -> None:
    async with asyncio.timeout(SECONDS):
        while "held" not in (await jobs.client.get("/health")).json():
            await asyncio.sleep(0.05)
