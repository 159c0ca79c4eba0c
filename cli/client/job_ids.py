"""Finds the job that a person means by the beginning of its id, or by none."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from agent.system.text import printable
from cli.client.service import ServiceRefused

WHOLE = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")
BEGINNING = re.compile(r"[0-9a-f][0-9a-f-]{3,35}")
PAGES = 5
PAGE = 200


def whole_id(service: httpx.Client, asked: str) -> str:
    """The id that begins so, among the newest thousand jobs; raises ServiceRefused if none does, or several do.

    Four characters are the least.
    """
    asked = asked.lower()
    if WHOLE.fullmatch(asked):
        return asked
    if not BEGINNING.fullmatch(asked):
        raise ServiceRefused(
            f"{printable(asked, one_line=True)!r} is no job's id, nor four characters of its beginning"
        )
    # those that are due first; then those that somebody has asked for, for later
    for until in (None, datetime.now(UTC) + timedelta(days=366)):
        found = _beginning(service, asked, until)
        if len(found) > 1:
            listed = ", ".join(f"{job['job_id']} ({printable(job['name'], one_line=True)})" for job in found[:5])
            raise ServiceRefused(f"{asked} is the beginning of {len(found)} jobs: {listed}")
        if found:
            return str(found[0]["job_id"])
    raise ServiceRefused(f"no job's id begins with {asked}; `agent-service jobs` lists them")


def newest_id(service: httpx.Client) -> str:
    """The id of the newest job; raises ServiceRefused if there is none."""
    jobs = service.get("/jobs", params={"limit": 1}).json()["jobs"]
    if not jobs:
        raise ServiceRefused("there is no job yet; `agent-service run` starts one")
    return str(jobs[0]["job_id"])


def _beginning(service: httpx.Client, asked: str, until: datetime | None) -> list[dict[str, Any]]:
    params = {"limit": PAGE} | ({"until": until.isoformat()} if until else {})
    page = service.get("/jobs", params=params).json()
    found = [job for job in page["jobs"] if job["job_id"].startswith(asked)]
    for _ in range(PAGES - 1):
        if not page["next"]:
            break
        page = service.get(page["next"]).json()
        found += [job for job in page["jobs"] if job["job_id"].startswith(asked)]
    return found
