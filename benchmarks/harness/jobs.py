"""Jobs as callers see them: asked for, waited for, looked up; and how soon each began."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from benchmarks.harness.client import prompt_of
from benchmarks.harness.service import AGENT
from demo.service import Stage

RUN_SECONDS = 120.0


def prefect_of(stage: Stage) -> httpx.AsyncClient:
    """Prefect's own API of a service."""
    user, password = stage.prefect_auth.split(":", 1)
    return httpx.AsyncClient(
        base_url=f"{stage.prefect_url}/api", auth=(user, password), timeout=RUN_SECONDS, trust_env=False
    )


@dataclass(frozen=True)
class MeasuredJob:
    """One that is over, in milliseconds from its acceptance."""

    job_id: str
    begun: float
    """To its first line: the time of its state Running, as Prefect has it."""
    agent_begun: float
    """To the agent's first event: its CLI is at work on the prompt."""
    ended: float


async def run_job(client: httpx.AsyncClient, prefect: httpx.AsyncClient) -> MeasuredJob:
    """One job, from its acceptance to its end."""
    accepted = time.time()
    answer = await client.post("/execute", json={"agent": AGENT, "prompt": prompt_of()})
    job_id = str(answer.raise_for_status().json()["job_id"])
    job = (await client.get(f"/jobs/{job_id}", params={"wait": RUN_SECONDS})).raise_for_status().json()
    if job["status"] != "completed":
        raise RuntimeError(f"a job ended as {job['status']}: {job}")
    run = (await prefect.get(f"/flow_runs/{job_id}")).raise_for_status().json()
    told = (await client.get(f"/jobs/{job_id}/transcript")).raise_for_status().json()
    return MeasuredJob(
        job_id=job_id,
        begun=_since(accepted, run["start_time"]),
        agent_begun=_since(accepted, _first(told["events"], "started")["at"]),
        ended=_since(accepted, run["end_time"]),
    )


async def look_up(client: httpx.AsyncClient, job_id: str) -> float:
    """Milliseconds that `GET /jobs/{id}` takes."""
    began = time.perf_counter()
    (await client.get(f"/jobs/{job_id}")).raise_for_status()
    return 1000 * (time.perf_counter() - began)


def _first(events: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next(event for event in events if event["type"] == kind)


def _since(accepted: float, text: str) -> float:
    return 1000 * (datetime.fromisoformat(text).timestamp() - accepted)
