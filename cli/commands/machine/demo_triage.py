"""The triage part of the demo: three scheduled runs of one triage."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cli.display.formatting import dollars
from demo.repository import git

WAIT_SECONDS = 240.0
CHANGED = "inbox/02-rockstar.md"
_AFTERTHOUGHT = "\nP.S. The role is staff engineer, remote, at EUR 90k. Please answer by Friday.\n"
_DEPLOYMENT = "/deployments/name/triage/inbox"

console = Console()


def show_triage(service: httpx.Client, prefect: httpx.Client, origin: Path) -> bool:
    """Switch the schedule on and show three runs: all of the inbox, nothing new, one changed message.

    Return True if all of them ended in time.
    """
    _resume(prefect)
    first = _next_report(service, prefect, lambda report: report["counts"].get("done", 0) > 0)
    if first is None:
        return _missed("handled the inbox")
    _show("Scheduled triage of the inbox", first)
    second = _next_report(service, prefect, lambda report: report["handled_before"] == first["listed"])
    if second is None:
        return _missed("found everything handled")
    _show("The next run", second)
    _change(origin)
    third = _next_report(service, prefect, lambda report: [item["key"] for item in report["items"]] == [CHANGED])
    if third is None:
        return _missed("handled the changed message")
    _show(f"After a change of {CHANGED}", third)
    return bool(first["counts"] == {"done": first["listed"]})


def _resume(prefect: httpx.Client) -> None:
    """Switch the schedule on, as the switch beside it in Prefect's UI does."""
    deployment = prefect.get(_DEPLOYMENT).json()
    path = f"/deployments/{deployment['id']}/schedules/{deployment['schedules'][0]['id']}"
    prefect.patch(path, json={"active": True}).raise_for_status()


def _next_report(service: httpx.Client, prefect: httpx.Client, is_it: Any) -> dict[str, Any] | None:
    """Return the newest report for which `is_it` is true, once there is one; None after four minutes."""
    deployment = prefect.get(_DEPLOYMENT).json()
    query = {
        "flow_runs": {"deployment_id": {"any_": [deployment["id"]]}, "state": {"type": {"any_": ["COMPLETED"]}}},
        "sort": "END_TIME_DESC",
        "limit": 3,
    }
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        for run in prefect.post("/flow_runs/filter", json=query).raise_for_status().json():
            answer = service.get(f"/jobs/{run['id']}")
            report: dict[str, Any] | None = answer.json().get("structured") if answer.is_success else None
            if report is not None and is_it(report):
                return report
        time.sleep(0.5)
    return None


def _change(origin: Path) -> None:
    """Change one message of the inbox, and push that."""
    with tempfile.TemporaryDirectory() as scratch:
        git(Path(scratch), "clone", "--quiet", str(origin), "checkout")
        checkout = Path(scratch, "checkout")
        path = checkout / CHANGED
        path.write_text(path.read_text() + _AFTERTHOUGHT)
        git(checkout, "commit", "--quiet", "--all", "--message", "One message has changed")
        git(checkout, "push", "--quiet", "origin", "HEAD:main")


def _show(title: str, report: dict[str, Any]) -> None:
    counts = f"{report['listed']} listed, {len(report['items'])} handled, {report['handled_before']} handled before"
    if report["items"]:
        console.print(_table(f"{title}: {counts}", report["items"]))
    else:
        console.print(Panel(f"{counts}: nothing new.", title=title, title_align="left"))
    console.print(f"cost {dollars(report['cost_usd'])}\n", markup=False, soft_wrap=True)


def _table(title: str, items: list[dict[str, Any]]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in ("item", "priority", "labels", "summary", "action"):
        table.add_column(column)
    for item in items:
        verdict = item["verdict"] or {}
        cells = (item["title"], verdict.get("priority"), ", ".join(verdict.get("labels", [])))
        table.add_row(*(Text(str(cell)) for cell in (*cells, verdict.get("summary"), verdict.get("action"))))
    return table


def _missed(what: str) -> bool:
    console.print(f"No triage has {what} in time.")
    return False
