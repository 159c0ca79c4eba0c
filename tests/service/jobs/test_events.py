"""What happens in a job: as it happens, from where the reader left off, once and in order."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any
from uuid import uuid4

import httpx
import pytest
from job_client import Jobs

pytestmark = pytest.mark.anyio

Event = dict[str, Any]
TOOLS = [{"tool": "Bash", "input": {"command": f"echo {number}; sleep 0.2"}} for number in range(4)]


async def read_events(jobs: Jobs, job_id: str, after: str | None = None, most: int = 10_000) -> list[Event]:
    """The job's events after the one of that id, until the stream ends, or so many."""
    headers = {"Last-Event-ID": after} if after else {}
    events: list[Event] = []
    async with jobs.client.stream("GET", f"/jobs/{job_id}/events", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        event: Event = {}
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            if name:
                event[name] = value
            elif "data" in event:
                events.append(event)
                event = {}
                if len(events) >= most:
                    break
            else:
                event = {}
    return events


async def test_they_come_while_it_works_and_end_with_its_end(jobs: Jobs) -> None:
    job_id = await jobs.start(*TOOLS, {"text": "I am done."})
    events = await asyncio.wait_for(read_events(jobs, job_id), 60)
    assert [int(event["id"]) for event in events] == list(range(1, len(events) + 1))
    assert (events[0]["event"], events[-1]["event"]) == ("started", "ended")
    ended = json.loads(events[-1]["data"])
    assert (ended["status"], ended["error"]) == ("completed", None)
    assert ended["cost_usd"] > 0
    job = await jobs.finished(job_id, 5)
    assert job["status"] == "completed"


async def test_a_reader_that_was_cut_off_has_each_of_them_once(jobs: Jobs) -> None:
    job_id = await jobs.start(*TOOLS, {"text": "done"})
    chance = random.Random(3)
    events: list[Event] = []
    async with asyncio.timeout(60):
        while not events or events[-1]["event"] != "ended":
            after = events[-1]["id"] if events else None
            events += await read_events(jobs, job_id, after, chance.randint(1, 3))
    assert events == await read_events(jobs, job_id)
    answer = await jobs.client.get(f"/jobs/{job_id}/events", headers={"Last-Event-ID": events[-1]["id"]})
    assert answer.status_code == 204
    transcript = (await jobs.client.get(f"/jobs/{job_id}/transcript")).json()
    assert [str(event["id"]) for event in transcript["events"]] == [event["id"] for event in events]


async def test_a_job_that_never_started_ends_them_too_and_an_id_that_is_none_is_refused(jobs: Jobs) -> None:
    assert (await jobs.client.get(f"/jobs/{uuid4()}/events")).status_code == 404
    (await jobs.client.post("/pause")).raise_for_status()
    try:
        job_id = await jobs.start({"text": "never said"})
        await jobs.cancel(job_id)
        [ended] = await asyncio.wait_for(read_events(jobs, job_id), 20)
    finally:
        (await jobs.client.post("/resume")).raise_for_status()
    refused = await jobs.client.get(f"/jobs/{job_id}/events", headers={"Last-Event-ID": "-1"})
    assert refused.status_code == 400
    assert json.loads(ended["data"]) == {"type": "ended", "status": "error", "error": "cancelled", "cost_usd": None}


async def test_whoever_waits_is_told_at_its_end(jobs: Jobs) -> None:
    job_id = await jobs.start({"tool": "Bash", "input": {"command": "sleep 1"}}, {"text": "awaited"})
    short = await jobs.client.get(f"/jobs/{job_id}", params={"wait": 0.2})
    assert short.json()["status"] == "running"
    long: httpx.Response = await jobs.client.get(f"/jobs/{job_id}", params={"wait": 50})
    assert (long.json()["status"], long.json()["result"]) == ("completed", "awaited")


async def test_a_job_is_done_again(jobs: Jobs) -> None:
    job_id = await jobs.start({"text": "once more"}, tags=["nightly"], metadata={"ticket": 7})
    first = await jobs.finished(job_id)
    answer = await jobs.client.post(f"/jobs/{job_id}/rerun")
    assert answer.status_code == 202
    again = await jobs.finished(answer.json()["job_id"])
    assert again["job_id"] != job_id
    assert (again["result"], again["metadata"]) == (first["result"], {"ticket": 7})


async def test_jobs_are_listed_by_what_they_are(jobs: Jobs) -> None:
    tag = f"list-{uuid4().hex[:8]}"
    good = await jobs.start({"text": "well"}, tags=[tag])
    bad = await jobs.start({"hang": True}, tags=[tag], agent="service-upgrade")
    await jobs.cancel(bad)
    for job_id in (good, bad):
        await jobs.finished(job_id)

    async def listed(**wanted: Any) -> list[str]:
        page = (await jobs.client.get("/jobs", params={"tag": tag, **wanted})).json()
        found = [job["job_id"] for job in page["jobs"]]
        while page["next"]:
            page = (await jobs.client.get(page["next"])).json()
            found += [job["job_id"] for job in page["jobs"]]
        return found

    assert set(await listed()) == {good, bad}
    assert set(await listed(limit=1)) == {good, bad}
    assert await listed(status="completed") == [good]
    assert await listed(status="error") == [bad]
    assert await listed(status="failed") == []
    assert await listed(agent="service-upgrade") == [bad]
    assert await listed(since="2100-01-01T00:00:00Z") == []
    assert (await jobs.client.get("/jobs", params={"status": "sleeping"})).status_code == 422
