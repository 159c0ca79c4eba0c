"""`agent-service triage`."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import httpx
import typer

from cli.client.service import reach_service
from cli.display.formatting import dollars
from cli.display.json_output import print_json
from cli.display.table import show_table
from cli.exit_status import OF_JOB

HELP = "Run a triage of prefect.yaml now and print its report, or list what it would do, or what is known of its items."

_LOOK_SECONDS = 0.5


def triage(
    name: Annotated[
        str | None, typer.Argument(help="The name of a triage in prefect.yaml; without one, they are listed.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the items and the maximum cost; start no agent.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Include items that were handled before, or set aside.")
    ] = False,
    items: Annotated[bool, typer.Option("--items", help="List what is known of its items; start no agent.")] = False,
    find: Annotated[
        str | None, typer.Option("--find", help="List items with this text in title, key or verdict.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Run or plan a triage, or list what is known; HELP is its help text."""
    with reach_service() as service:
        if name is None:
            triages = service.get("/triage").json()["triages"]
            print_json(triages) if as_json else _show_triages(triages)
            return
        if items or find is not None:
            found = _known_items(service, name, find)
            print_json(found) if as_json else _show_items(found)
            return
        if dry_run:
            plan = service.post(f"/triage/{name}/plan", json={"again": again}).json()
            print_json(plan) if as_json else _show_plan(plan)
            return
        started = service.post(f"/triage/{name}", json={"again": again}).json()
        print(f"run {started['flow_run_url']}", file=sys.stderr)
        job = _finish(service, started["job_id"])
    if as_json:
        print_json(job.get("structured"))
    elif job.get("result"):
        _show_report(job["result"])
    if job["status"] != "completed":
        cause = f": {job['error']}" if job.get("error") else ""
        print(f"agent-service: the triage ended as {job['status']}{cause}", file=sys.stderr)
    raise typer.Exit(OF_JOB[job["status"]])


def _known_items(service: httpx.Client, name: str, text: str | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    address: str | None = f"/triage/{quote(name, safe='')}/items?{urlencode({'q': text} if text else {})}"
    while address is not None:
        page = service.get(address).json()
        found += page["items"]
        address = page["next"]
    return found


def _show_triages(triages: list[dict[str, Any]]) -> None:
    rows = [
        (
            one["name"],
            "paused" if one["paused"] else ", ".join(one["schedules"]) or "no schedule is switched on",
            one["error"] or ", ".join(f"{number} {status}" for status, number in one["items"].items()) or "nothing yet",
        )
        for one in triages
    ]
    show_table(("TRIAGE", "SCHEDULE", "ITEMS"), rows, empty="no triages in prefect.yaml")


def _show_items(items: list[dict[str, Any]]) -> None:
    rows = [(one["key"], one["status"], str(one["attempts"]), _said(one), one["title"]) for one in items]
    show_table(("KEY", "STATUS", "ATTEMPTS", "VERDICT", "ITEM"), rows, empty="no items")


def _said(item: dict[str, Any]) -> str:
    verdict = item["error"] if item["status"] in ("failed", "set aside") else item["verdict"]
    if isinstance(verdict, dict):
        return ", ".join(f"{name}: {value}" for name, value in verdict.items())
    return "" if verdict is None else str(verdict)


def _finish(service: httpx.Client, job_id: str) -> dict[str, Any]:
    while True:
        job: dict[str, Any] = service.get(f"/jobs/{job_id}").json()
        if job["status"] != "running":
            return job
        time.sleep(_LOOK_SECONDS)


def _show_report(report: str) -> None:
    if not sys.stdout.isatty():
        print(report)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(report))


def _show_plan(plan: dict[str, Any]) -> None:
    rows = [(item["key"], item["title"], item["error"] or "") for item in plan["items"]]
    show_table(("KEY", "ITEM", "NOTE"), rows, empty="no items")
    counts = {
        "listed": plan["listed"],
        "to handle": len(plan["items"]),
        "handled before": plan["handled_before"],
        "at work elsewhere": plan["elsewhere"],
        "waiting": plan["waiting"],
        "set aside": len(plan["set_aside"]),
    }
    say = _say_on_terminal if sys.stdout.isatty() else _say_beside
    say(f"{plan['name']}: {', '.join(f'{number} {what}' for what, number in counts.items())}")
    say(f"It may cost at most {dollars(plan['max_cost_usd'] or 0)}. No agent was started.")
    for trouble in (*plan["notes"], *plan["problems"]):
        say(f"! {trouble}")


def _say_on_terminal(line: str) -> None:
    print(line)


def _say_beside(line: str) -> None:
    """Print to stderr: a program reads the items alone on stdout."""
    print(line, file=sys.stderr)
