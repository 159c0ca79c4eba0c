"""Shell completion: asks the service briefly, and offers nothing if it does not answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cli.client.service import reach_service
from cli.errors import ServiceRefused, TerminalError

PATIENCE_SECONDS = 2.0
RECENT = 100


def complete_agent(incomplete: str) -> list[str]:
    """Return the agents of the default workspace."""
    with _nothing_if_away(), reach_service(PATIENCE_SECONDS) as service:
        names = [str(agent["name"]) for agent in service.get("/agents").json()["agents"]]
        return [name for name in names if name.startswith(incomplete)]
    return []


def complete_job(incomplete: str) -> list[tuple[str, str]]:
    """Return the newest jobs, with status and name."""
    return [(job["job_id"], f"{job['status']}  {job['name']}") for job in _recent() if _is_meant(job, incomplete)]


def complete_running_job(incomplete: str) -> list[tuple[str, str]]:
    """Return the jobs that have not ended."""
    running = [job for job in _recent(status="running") if _is_meant(job, incomplete)]
    return [(job["job_id"], job["name"]) for job in running]


def complete_workspace(incomplete: str) -> list[str]:
    """Return the workspaces that are configured here."""
    from agent.settings import AgentSettings
    from deployments.settings import SettingsError, read_environment

    try:
        names = read_environment(AgentSettings).workspace_names
    except SettingsError:
        return []
    return [name for name in names if name.startswith(incomplete)]


def _recent(**wanted: str) -> list[dict[str, Any]]:
    with _nothing_if_away(), reach_service(PATIENCE_SECONDS) as service:
        jobs: list[dict[str, Any]] = service.get("/jobs", params={"limit": RECENT, **wanted}).json()["jobs"]
        return jobs
    return []


def _is_meant(job: dict[str, Any], incomplete: str) -> bool:
    return str(job["job_id"]).startswith(incomplete)


@contextmanager
def _nothing_if_away() -> Iterator[None]:
    """Suppress errors of the terminal: a message has no place in a half-typed line."""
    try:
        yield
    except (ServiceRefused, TerminalError):
        return
