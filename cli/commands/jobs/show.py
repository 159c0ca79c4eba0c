"""`agent-service show`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from agent.system.text import printable
from cli.client.completion import complete_job
from cli.client.job_ids import newest_id, whole_id
from cli.client.service import reach_service
from cli.display.formatting import dollars, duration, local_time, tokens
from cli.display.json_output import print_json

HELP = "Show one job: status, times, cost, changes in git, and its answer."


def show(
    job: Annotated[
        str | None,
        typer.Argument(help="The job's id, or its beginning; default: the newest.", autocompletion=complete_job),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the job as one JSON object.")] = False,
) -> None:
    """Show a job; HELP is its help text."""
    with reach_service() as service:
        found = service.get(f"/jobs/{whole_id(service, job) if job else newest_id(service)}").json()
    if as_json:
        print_json(found)
        return
    for name, value in facts(found):
        print(f"{name + ':':<10} {printable(value, one_line=True)}")
    print(f"\n{printable(found.get('prompt') or '')}")
    if found.get("result"):
        print(f"\n--\n{printable(found['result'])}")


def facts(job: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the known facts about a job, each with its name."""
    waiting = job.get("waiting") or {}
    workspace = job.get("workspace") or {}
    listed = [
        ("job", job["job_id"]),
        ("status", _status(job)),
        ("waits for", waiting.get("reason") or ""),
        ("agent", job["agent"]),
        ("trigger", job.get("trigger") or ""),
        ("model", job.get("model") or ""),
        ("accepted", local_time(job.get("started_at"))),
        ("ended", local_time(job.get("finished_at"))),
        ("took", _took(job)),
        ("cost", _cost(job)),
        ("error", job.get("error") or ""),
        ("changes", _changes(workspace)),
        ("restore", f"agent-service kept restore {job['job_id']}" if workspace.get("kept_ref") else ""),
        ("prefect", job.get("flow_run_url") or ""),
    ]
    return [(name, value) for name, value in listed if value]


def _status(job: dict[str, Any]) -> str:
    phase = job.get("phase") or job["status"]
    return phase if phase == job["status"] else f"{job['status']} ({phase})"


def _took(job: dict[str, Any]) -> str:
    if not job.get("started_at") or not job.get("finished_at"):
        return ""
    return duration(
        (datetime.fromisoformat(job["finished_at"]) - datetime.fromisoformat(job["started_at"])).total_seconds()
    )


def _cost(job: dict[str, Any]) -> str:
    if job.get("cost_usd") is None:
        return ""
    usage = job.get("usage") or {}
    read = sum(count for name, count in usage.items() if name != "output_tokens")
    counted = f", {tokens(read)} tokens in, {tokens(usage['output_tokens'])} out" if usage else ""
    turns = f", {job['turns']} turns" if job.get("turns") else ""
    return f"{dollars(job['cost_usd'])}{counted}{turns}"


def _changes(workspace: dict[str, Any]) -> str:
    if not workspace:
        return ""
    commits, files = workspace.get("commits") or [], workspace.get("files_changed") or []
    if not commits and not files:
        return "none"
    pushed = sum(bool(commit.get("pushed")) for commit in commits)
    return f"{len(files)} files, {len(commits)} commits ({pushed} pushed); see `agent-service diff`"
