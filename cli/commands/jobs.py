"""`agent-service jobs`: what there is, the newest first."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Annotated, Any, Literal

import httpx
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent.system.text import printable
from cli.client.completion import complete_agent
from cli.client.service import reach_service
from cli.display.formatting import age, dollars, duration, read_moment
from cli.display.job_result import STYLES, print_json

HELP = (
    "List jobs, the newest first.\n\n"
    "A table on a terminal; elsewhere one job a line, its members separated by tabs: id, status, agent, name, started, "
    "finished, dollars. Where an id is asked for, the beginning that the table shows is enough."
)

PAGE = 200
SHORTEST = 8
WHAT = "WHAT"
COLUMNS = ("ID", "STATUS", "AGENT", "STARTED", "TOOK", "COST", WHAT)


def jobs(
    status: Annotated[
        Literal["running", "completed", "failed", "timeout", "error"] | None, typer.Option(help="What they came to.")
    ] = None,
    agent: Annotated[
        str | None, typer.Option(help="Whom they were for, as it was said.", autocompletion=complete_agent)
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag that they have; may be said several times.")] = None,
    since: Annotated[str | None, typer.Option(help="Due then or later: `30m`, `12h`, `7d` ago, or ISO 8601.")] = None,
    until: Annotated[str | None, typer.Option(help="Due then or before; unset: now.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="So many at most.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as a JSON list.")] = False,
) -> None:
    """List jobs; HELP is what its user reads."""
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
        Console().print(_table(found) if found else "no jobs")
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
    """The same for a program: whole, and each where it is looked for."""
    cost = "" if job["cost_usd"] is None else f"{job['cost_usd']:.6f}"
    words = [job["job_id"], job["status"], job["agent"], job["name"], job["started_at"], job["finished_at"], cost]
    return [printable(str(word or ""), one_line=True) for word in words]


def _table(found: list[dict[str, Any]]) -> Table:
    """What a job is to do gives way where the terminal is narrow; the rest is whole."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", expand=True)
    rows = [_cells(job, [other["job_id"] for other in found]) for job in found]
    for number, column in enumerate(COLUMNS):
        if column == WHAT:
            table.add_column(column, no_wrap=True, overflow="ellipsis", ratio=1)
        else:
            table.add_column(column, no_wrap=True, min_width=max(row[number].cell_len for row in rows))
    for row in rows:
        table.add_row(*row)
    return table


def _cells(job: dict[str, Any], ids: list[str]) -> list[Text]:
    started = datetime.fromisoformat(job["started_at"]) if job["started_at"] else None
    finished = datetime.fromisoformat(job["finished_at"]) if job["finished_at"] else None
    took = duration((finished - started).total_seconds()) if started and finished else ""
    status = job["status"] if job["status"] != "running" or job["state"] == "Running" else f"running ({job['state']})"
    what = job["name"].removeprefix(f"{job['agent']}: ")
    cost = "" if job["cost_usd"] is None else dollars(job["cost_usd"])
    words = [job["agent"], age(started) if started else "", took, cost, what]
    rest = [Text(printable(word, one_line=True)) for word in words]
    return [Text(shortened(job["job_id"], ids)), Text(status, style=STYLES[job["status"]]), *rest]


def shortened(job_id: str, ids: list[str]) -> str:
    """The shortest beginning, of eight characters or more, that no other of `ids` has.

    Ids that Prefect's scheduler makes begin with the time: those of one moment differ late.
    """
    others = [other for other in ids if other != job_id]
    lengths = range(SHORTEST, len(job_id))
    length = next((n for n in lengths if not any(other.startswith(job_id[:n]) for other in others)), len(job_id))
    return job_id[:length].rstrip("-")


def _moment(text: str | None, option: str) -> str | None:
    try:
        return read_moment(text).isoformat() if text else None
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither `30m`, `12h`, `7d` nor ISO 8601", param_hint=option) from None
