"""Triages on the real service: started through Prefect with parameters of the test's own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from waiting import pauses

if TYPE_CHECKING:
    from conftest import Service

VERDICT = {
    "type": "object",
    "required": ["priority", "summary"],
    "properties": {"priority": {"enum": ["high", "medium", "low"]}, "summary": {"type": "string"}},
}


def slow(milliseconds: int) -> str:
    """A prompt whose answer takes its time."""
    return f"offline-model: {json.dumps([{'text': 'done', 'delay_ms': milliseconds}])}"


def ask(*titles: str, **members: Any) -> dict[str, Any]:
    """A triage over a list; a name of its own, unless one is given."""
    items = [{"id": title, "title": title, "body": f"About {title}."} for title in titles]
    source = {"type": "list", "items": items}
    return {"name": uuid4().hex, "source": source, "agent": "recruiter-triage", "timeout_seconds": 120, **members}


async def start(service: Service, request: dict[str, Any], deployment: str = "inbox") -> str:
    """Queue a triage, past its deployment's own parameters; gives the run's id."""
    async with service.prefect() as prefect:
        found = (await prefect.get(f"/deployments/name/triage/{deployment}")).json()
        made = await prefect.post(
            f"/deployments/{found['id']}/create_flow_run",
            json={"parameters": {"request": request}, "state": {"type": "SCHEDULED"}},
        )
        assert made.status_code < 300, made.text
        return str(made.json()["id"])


async def finished(service: Service, job_id: str, seconds: float = 120) -> dict[str, Any]:
    """The job once it is over."""
    job: dict[str, Any] = {}

    async def over() -> bool:
        nonlocal job
        job = (await service.client.get(f"/jobs/{job_id}", params={"wait": 30})).json()
        return bool(job["status"] != "running")

    await until(over, f"job {job_id} over", seconds)
    return job


async def until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = 60) -> None:
    """Wait for something that happens in another process."""
    try:
        async with asyncio.timeout(seconds):
            for pause in pauses():
                if await condition():
                    return
                await asyncio.sleep(pause)
    except TimeoutError:
        raise AssertionError(f"never happened: {what}") from None


async def runs(service: Service, **query: Any) -> list[dict[str, Any]]:
    """Flow runs by Prefect's own filter."""
    async with service.prefect() as prefect:
        answer = await prefect.post("/flow_runs/filter", json={"limit": 200, **query})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()
        return found


async def children(service: Service, run_id: str) -> list[dict[str, Any]]:
    """The agents' runs that Prefect shows as parts of the triage."""
    return await runs(service, flow_runs={"parent_flow_run_id": {"any_": [run_id]}})
