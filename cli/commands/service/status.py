"""`agent-service status`."""

from __future__ import annotations

from typing import Annotated, Any

import httpx
import typer

from agent.system.text import printable
from cli.client.service import reach_service
from cli.display.formatting import dollars, local_time
from cli.display.json_output import print_json
from cli.exit_status import FAILED

HELP = (
    "Show what the service does now: slots, queue, holds, running jobs, and the cost of the last 24 hours.\n\n"
    "Exits with 0 if agents can start, with 1 if something keeps them from starting."
)


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as one JSON object.")] = False,
) -> None:
    """Show the state of the service; HELP is its help text."""
    with reach_service() as service:
        health = service.get("/health").json()
        ready = _ready(service)
        running = service.get("/jobs", params={"status": "running", "limit": 200}).json()["jobs"]
        usage = service.get("/usage", params={"days": 1}).json()
        url = str(service.base_url)
    problems = _problems(health, ready)
    if as_json:
        print_json({"health": health, "ready": ready, "running": running, "usage": usage})
    else:
        _show(url, health, running, usage, problems)
    raise typer.Exit(FAILED if problems else 0)


def _ready(service: httpx.Client) -> dict[str, Any]:
    answer = httpx.get(f"{str(service.base_url).rstrip('/')}/ready", timeout=10, trust_env=False)
    said: dict[str, Any] = answer.json()
    return said


def _problems(health: dict[str, Any], ready: dict[str, Any]) -> list[str]:
    found = [] if ready.get("status") == "ready" else [f"not ready: {ready.get('detail')}"]
    if "agents" in (health.get("paused") or []):
        found.append("agents are paused; `agent-service resume` starts them again")
    if held := health.get("held"):
        found.append(f"no agent starts until {local_time(held['until'])}: {held['reason']}")
    if health.get("disk"):
        found.append("disk space is low: no run starts; free some under STATE_DIR")
    return found


def _show(
    url: str, health: dict[str, Any], running: list[dict[str, Any]], usage: dict[str, Any], problems: list[str]
) -> None:
    capacity = health["capacity"]
    print(f"service:  {url}")
    print(f"agents:   {capacity['agents'] - capacity['free']} of {capacity['agents']} slots in use")
    print(f"jobs:     {len(running)} queued or running")
    if health.get("sandbox") == "none":
        print("sandbox:  OFF: agents have all rights of the service's user")
    print(f"24 hours: {usage['total']['runs']} runs, {dollars(usage['total']['cost_usd'])}")
    for job in running:
        name = printable(job["name"], one_line=True)
        print(f"  {job['job_id'][:13]}  {job.get('phase') or job['status']:<10} {name}")
    for problem in problems:
        print(f"! {printable(problem, one_line=True)}")
