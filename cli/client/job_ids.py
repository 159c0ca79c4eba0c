"""Resolves abbreviated job ids."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from agent.system.text import printable
from cli.errors import ServiceRefused

WHOLE = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")
BEGINNING = re.compile(r"[0-9a-f][0-9a-f-]{3,35}")
PAGES = 5
PAGE = 200
SHORTEST = 8


def whole_id(service: httpx.Client, asked: str) -> str:
    """Return the id of the job whose id begins with `asked`, among the newest thousand jobs.

    At least four characters are needed. Raises ServiceRefused if no id begins so, or several do.
    """
    asked = asked.lower()
    if WHOLE.fullmatch(asked):
        return asked
    if not BEGINNING.fullmatch(asked):
        raise ServiceRefused(f"{printable(asked, one_line=True)!r} is not a job id, nor four characters of one")
    # jobs that are due first; then those that are to start later
    for until in (None, datetime.now(UTC) + timedelta(days=366)):
        found = _beginning(service, asked, until)
        if len(found) > 1:
            listed = ", ".join(f"{job['job_id']} ({printable(job['name'], one_line=True)})" for job in found[:5])
            raise ServiceRefused(f"{asked} is the beginning of {len(found)} jobs: {listed}")
        if found:
            return str(found[0]["job_id"])
    raise ServiceRefused(f"no job's id begins with {asked}; `agent-service jobs` lists them")


def newest_id(service: httpx.Client) -> str:
    """Return the id of the newest job. Raises ServiceRefused if there is none."""
    jobs = service.get("/jobs", params={"limit": 1, "until": datetime.now(UTC).isoformat()}).json()["jobs"]
    if not jobs:
        raise ServiceRefused("there is no job yet; `agent-service run` starts one")
    return str(jobs[0]["job_id"])


def shortened(job_id: str, ids: Iterable[str]) -> str:
    """Return the shortest beginning, of eight characters or more, that no other of `ids` has."""
    # ids of Prefect's scheduler begin with the time: those of one moment differ late
    others = [other for other in ids if other != job_id]
    lengths = range(SHORTEST, len(job_id))
    length = next((n for n in lengths if not any(other.startswith(job_id[:n]) for other in others)), len(job_id))
    return job_id[:length].rstrip("-")


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
