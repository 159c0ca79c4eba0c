"""The reason why a job has not started yet."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

import httpx

from cli.errors import ServiceRefused

LOOK_SECONDS = 2.0


def why_it_waits(service: httpx.Client, job_id: str) -> str:
    """Return in a few words what the job waits for; empty if it has ended, or nothing is known."""
    with suppress(httpx.TransportError, ServiceRefused, ValueError):
        job = service.get(f"/jobs/{job_id}", timeout=LOOK_SECONDS).json()
        if job["status"] != "running":
            return ""
        if job["phase"] == "working":
            return "preparing the workspace"
        waiting = job.get("waiting")
        if waiting is None:
            return str(job["phase"])
        until = f" until {datetime.fromisoformat(waiting['until']).astimezone():%H:%M}" if waiting["until"] else ""
        return f"waits{until}: {waiting['reason']}"
    return ""
