"""A caller who hangs up, and a job that is cancelled, are one line of the log each, and no crash."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx
import pytest
from waiting import until

if TYPE_CHECKING:
    from conftest import Service

pytestmark = pytest.mark.anyio


async def lines_after(service: Service, before: int) -> list[str]:
    """Return what the log says of the end of a run, once its slot is free."""
    async with asyncio.timeout(60):
        while (capacity := (await service.client.get("/health")).json()["capacity"])["free"] < capacity["agents"]:
            await asyncio.sleep(0.2)
    await until(lambda: "is cancelled" in service.stage.log()[before:], "the log says so")
    await asyncio.sleep(0.5)  # what else it may say
    lines = service.stage.log()[before:].splitlines()
    began = next(number for number, line in enumerate(lines) if "started on" in line)
    return lines[began + 1 :]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_caller_who_hangs_up_is_one_line(service: Service, stream: bool) -> None:
    before = len(service.stage.log())
    prompt = f'{uuid4().hex} offline-model: {{"hang": true}}'
    body = {"messages": [{"role": "user", "content": prompt}], "stream": stream}
    with pytest.raises(httpx.ReadTimeout):
        await service.client.post("/v1/chat/completions", json=body, timeout=4)
    [line] = await lines_after(service, before)
    assert re.search(r" INFO .*run [-0-9a-f]{36} is cancelled: its caller has hung up", line)


async def test_a_job_that_is_cancelled_is_one_line(service: Service) -> None:
    before = len(service.stage.log())
    prompt = f'{uuid4().hex} offline-model: {{"hang": true}}'
    job = (await service.client.post("/execute", json={"agent": "recruiter-triage", "prompt": prompt})).json()
    await until(lambda: "started on" in service.stage.log()[before:], "the agent is at work", 60)
    (await service.client.post(f"/jobs/{job['job_id']}/cancel")).raise_for_status()
    [line] = await lines_after(service, before)
    assert re.search(rf" INFO .*run {job['job_id']} is cancelled", line)
