"""What the shell offers where a word is begun: it asks the service, briefly, and offers nothing if that is away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from agent.settings import AgentSettings
from cli.client.service import ServiceRefused, reach_service
from deployments.settings import SettingsError, read_environment

PATIENCE_SECONDS = 2.0
RECENT = 100


def complete_agent(incomplete: str) -> list[str]:
    """The agents of the workspace that jobs are for unless they say otherwise."""
    with _nothing_if_away(), reach_service(PATIENCE_SECONDS) as service:
        names = [str(agent["name"]) for agent in service.get("/agents").json()["agents"]]
        return [name for name in names if name.startswith(incomplete)]
    return []


def complete_job(incomplete: str) -> list[tuple[str, str]]:
    """The newest jobs, with what they are."""
    return [(job["job_id"], f"{job['status']}  {job['name']}") for job in _recent() if _is_meant(job, incomplete)]


def complete_running_job(incomplete: str) -> list[tuple[str, str]]:
    """Jobs that are not over."""
    running = [job for job in _recent(status="running") if _is_meant(job, incomplete)]
    return [(job["job_id"], job["name"]) for job in running]


def complete_workspace(incomplete: str) -> list[str]:
    """Workspaces that are configured here."""
    with _nothing_if_away():
        return [name for name in read_environment(AgentSettings).workspace_names if name.startswith(incomplete)]
    return []


def _recent(**wanted: str) -> list[dict[str, Any]]:
    with _nothing_if_away(), reach_service(PATIENCE_SECONDS) as service:
        jobs: list[dict[str, Any]] = service.get("/jobs", params={"limit": RECENT, **wanted}).json()["jobs"]
        return jobs
    return []


def _is_meant(job: dict[str, Any], incomplete: str) -> bool:
    return str(job["job_id"]).startswith(incomplete)


@contextmanager
def _nothing_if_away() -> Iterator[None]:
    """A word half written is no place for an error message."""
    try:
        yield
    except (ServiceRefused, SettingsError):
        return
