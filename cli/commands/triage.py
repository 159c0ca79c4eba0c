"""`agent-service triage`: a triage now, or only what it would do."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import httpx
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from cli.client.service import reach_service
from cli.exit_status import OF_JOB
from tasks.triage.models import TriageReport

_LOOK_SECONDS = 0.5

console = Console()


def run_triage(name: str, *, again: bool, as_json: bool) -> int:
    """Have the running service run the triage, and print its report; gives the exit status."""
    with reach_service() as service:
        started = service.post(f"/triage/{name}", json={"again": again}).json()
        print(f"run {started['flow_run_url']}", file=sys.stderr)
        job = _finish(service, started["job_id"])
    if as_json:
        print(json.dumps(job.get("structured"), indent=2, ensure_ascii=False))
    elif job.get("result"):
        console.print(Markdown(job["result"]))
    if job["status"] != "completed":
        cause = job.get("error") or (job.get("structured") or {}).get("notes") or job["status"]
        print(f"agent-service: the triage ended as {job['status']}: {cause}", file=sys.stderr)
    return OF_JOB[job["status"]]


def plan_triage(name: str, *, again: bool, as_json: bool) -> int:
    """Print what the triage would do now, and what it may cost; starts no agent."""
    with reach_service() as service:
        answer = service.post(f"/triage/{name}/plan", json={"again": again})
    if as_json:
        print(json.dumps(answer.json(), indent=2, ensure_ascii=False))
        return 0
    _show_plan(TriageReport.model_validate(answer.json()))
    return 0


def _finish(service: httpx.Client, job_id: str) -> dict[str, Any]:
    while True:
        job: dict[str, Any] = service.get(f"/jobs/{job_id}").json()
        if job["status"] != "running":
            return job
        time.sleep(_LOOK_SECONDS)


def _show_plan(plan: TriageReport) -> None:
    table = Table(title=f"{plan.name}: what a run would hand to agents")
    for column in ("item", "key", "note"):
        table.add_column(column)
    for item in plan.items:
        table.add_row(Text(item.title), Text(item.key), Text(item.error or ""))
    console.print(table)
    counts = {
        "listed": plan.listed,
        "to handle": len(plan.items),
        "handled before": plan.handled_before,
        "at work elsewhere": plan.elsewhere,
        "waiting": plan.waiting,
        "set aside": len(plan.set_aside),
    }
    console.print(", ".join(f"{number} {what}" for what, number in counts.items()))
    console.print(f"It may cost at most ${plan.max_cost_usd or 0:.2f}. No agent was started.", markup=False)
    for trouble in (*plan.notes, *plan.problems):
        console.print(Text(f"! {trouble}"))
