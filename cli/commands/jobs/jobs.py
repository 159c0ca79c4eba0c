"""`agent-service jobs`."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Annotated, Any, Literal

import httpx
import typer

from agent.system.text import printable
from cli.client.completion import complete_agent
from cli.client.job_ids import shortened
from cli.client.service import reach_service
from cli.display.formatting import STYLES, age, dollars, duration, read_moment
from cli.display.json_output import print_json
from cli.display.table import Cell, show_table

HELP = (
    "List jobs, newest first.\n\n"
    "A table on a terminal; elsewhere one job a line, separated by tabs: id, status, agent, name, started, finished, "
    "dollars. Other commands accept the beginning of an id that the table shows."
)

PAGE = 200
COLUMNS = ("ID", "STATUS", "AGENT", "STARTED", "TOOK", "COST", "WHAT")


def jobs(
    status: Annotated[
        Literal["running", "completed", "failed", "timeout", "error"] | None, typer.Option(help="Filter by status.")
    ] = None,
    agent: Annotated[str | None, typer.Option(help="Filter by agent name.", autocompletion=complete_agent)] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Filter by tag; may be repeated.")] = None,
    since: Annotated[str | None, typer.Option(help="Due then or later: `30m`, `12h`, `7d` ago, or ISO 8601.")] = None,
    until: Annotated[str | None, typer.Option(help="Due then or before; default: now.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Most jobs to list.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as a JSON list.")] = False,
) -> None:
    """List jobs; HELP is its help text."""
    wanted = {
        "status": status,
        "agent": agent,
        "tag": tag,
        "since": _moment(since, "--since"),
        "until": _moment(until, "--until"),
        "limit": min(limit, PAGE),
    }
    with reach_service() as service:
        found = _read(service, {name: value for name, value in wanted.items() if value is not None}, limit)
    if as_json:
        print_json(found)
    elif sys.stdout.isatty():
        ids = [job["job_id"] for job in found]
        show_table(COLUMNS, [_cells(job, ids) for job in found], empty="no jobs")
    else:
        for job in found:
            print("\t".join(_members(job)))


def _read(service: httpx.Client, wanted: dict[str, Any], limit: int) -> list[dict[str, Any]]:
    page = service.get("/jobs", params=wanted).json()
    found: list[dict[str, Any]] = page["jobs"]
    while page["next"] and len(found) < limit:
        page = service.get(page["next"]).json()
        found += page["jobs"]
    return found[:limit]


def _members(job: dict[str, Any]) -> list[str]:
    """Return the columns for a program, each whole."""
    cost = "" if job["cost_usd"] is None else f"{job['cost_usd']:.6f}"
    words = [job["job_id"], job["status"], job["agent"], job["name"], job["started_at"], job["finished_at"], cost]
    return [printable(str(word or ""), one_line=True) for word in words]


def _cells(job: dict[str, Any], ids: list[str]) -> list[Cell | str]:
    started = datetime.fromisoformat(job["started_at"]) if job["started_at"] else None
    finished = datetime.fromisoformat(job["finished_at"]) if job["finished_at"] else None
    return [
        shortened(job["job_id"], ids),
        Cell(job.get("phase") or job["status"], STYLES[job["status"]]),
        job["agent"],
        age(started) if started else "",
        duration((finished - started).total_seconds()) if started and finished else "",
        "" if job["cost_usd"] is None else dollars(job["cost_usd"]),
        job["name"].removeprefix(f"{job['agent']}: "),
    ]


def _moment(text: str | None, option: str) -> str | None:
    try:
        return read_moment(text).isoformat() if text else None
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither `30m`, `12h`, `7d` nor ISO 8601", param_hint=option) from None
