"""The reason why a job has not started yet."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any

import httpx

from cli.errors import ServiceRefused

LOOK_SECONDS = 2.0


def why_it_waits(service: httpx.Client, job_id: str) -> str:
    """In a few words what the job waits for, as far as the service knows; empty: nothing that can be told."""
    with suppress(httpx.TransportError, ServiceRefused, ValueError):
        job = service.get(f"/jobs/{job_id}", timeout=LOOK_SECONDS).json()
        if job["status"] != "running":
            return ""
        if job["state"] == "Running":
            return "the workspace is made ready"
        return _what_keeps_jobs(service.get("/health", timeout=LOOK_SECONDS).json())
    return ""


def _what_keeps_jobs(health: dict[str, Any]) -> str:
    if "agents" in (health.get("paused") or []):
        return "waits: agents are paused; `agent-service resume` ends it"
    if health.get("held"):
        until = datetime.fromisoformat(health["held"]["until"]).astimezone()
        return f"waits until {until:%H:%M}: {health['held']['reason']}"
    if health.get("disk"):
        return "waits: too little room is left where the service writes"
    capacity = health["capacity"]
    return f"waits: {capacity['agents']} of {capacity['agents']} agents at work" if capacity["free"] == 0 else ""
