"""`agent-service run`: one agent, from the terminal."""

from __future__ import annotations

import sys
import time
from typing import Any

import httpx

from api.settings import ApiSettings
from deployments.settings import read_environment

EXIT_STATUS = {"completed": 0, "failed": 1, "timeout": 124, "error": 2}
"""By a job's status; 124 is what timeout(1) exits with."""


def run_agent(agent: str, prompt: str, budget_usd: float, timeout_seconds: int) -> int:
    """Have the service on this machine run `agent`, and print its answer; gives the exit status."""
    settings = read_environment(ApiSettings)
    token = settings.api_bearer_token.get_secret_value() if settings.api_bearer_token else ""
    url = f"http://{settings.api_host}:{settings.api_port}"
    body = {"agent": agent, "prompt": prompt, "max_budget_usd": budget_usd, "timeout_seconds": timeout_seconds}
    try:
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as service:
            answer = service.post("/execute", json=body)
            if answer.status_code != 202:
                return _say(f"{answer.status_code}: {answer.json().get('detail')}", 2)
            return _finish(service, answer.json()["job_id"])
    except httpx.TransportError as error:
        return _say(f"no service at {url} ({error}); start it with `agent-service up`", 2)


def _finish(service: httpx.Client, job_id: str) -> int:
    job: dict[str, Any] = service.get(f"/jobs/{job_id}").json()
    print(f"run {job.get('flow_run_url')}", file=sys.stderr)
    while job["status"] == "running":
        time.sleep(0.5)
        job = service.get(f"/jobs/{job_id}").json()
    if job.get("result"):
        print(job["result"])
    if job["status"] != "completed":
        print(f"{job['status']}: {job.get('error') or job.get('stderr') or ''}", file=sys.stderr)
    return EXIT_STATUS[job["status"]]


def _say(message: str, status: int) -> int:
    print(f"agent-service: {message}", file=sys.stderr)
    return status
