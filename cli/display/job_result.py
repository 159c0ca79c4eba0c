"""Renders the result of a job."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from agent.system.text import printable
from cli.display.formatting import STYLES, duration
from cli.display.run_totals import RunTotals

Job = dict[str, Any]


def show_beginning(job: Job) -> None:
    """Print on stderr the job's id and its address in Prefect's UI."""
    words = filter(None, ["job", str(job["job_id"]), str(job.get("flow_run_url") or "")])
    Console(stderr=True, highlight=False).print(Text(" ".join(words), style="dim"), soft_wrap=True)


def show_ending(job: Job, tally: RunTotals) -> None:
    """Print on stderr how the job ended, and how to restore unpushed work."""
    console = Console(stderr=True, highlight=False)
    status = str(job["status"])
    took = _seconds(job)
    figures = [f"after {duration(took)}"] if took is not None else []
    figures += filter(None, [str(tally)])
    is_cancelled = job.get("state") == "Cancelled"
    word = "cancelled" if is_cancelled else status
    console.print(Text.assemble((word, f"bold {STYLES[status]}"), " ", " · ".join(figures)), soft_wrap=True)
    if status != "completed" and (cause := _cause(job)) not in ("", word):
        console.print(Text(printable(cause, one_line=True), style="red"), soft_wrap=True)
    workspace = job.get("workspace") or {}
    if workspace.get("kept_ref"):
        console.print(f"unpushed work is kept: agent-service kept restore {job['job_id']}", soft_wrap=True)


def print_answer(job: Job) -> None:
    """Print the answer on stdout: unchanged for a program, without control characters on a terminal."""
    answer = job.get("result")
    if not answer:
        return
    console = Console()
    if console.is_terminal:
        from rich.markdown import Markdown

        console.print(Markdown(printable(answer), hyperlinks=False))
    else:
        sys.stdout.write(f"{answer}\n")


def _seconds(job: Job) -> float | None:
    if not job.get("started_at") or not job.get("finished_at"):
        return None
    return (datetime.fromisoformat(job["finished_at"]) - datetime.fromisoformat(job["started_at"])).total_seconds()


def _cause(job: Job) -> str:
    """Return the error in one line; that of a failed run is in the last line of its output, or in stderr."""
    if job.get("error"):
        return str(job["error"])
    try:
        said = json.loads("".join(job.get("output") or []))
    except ValueError:
        said = {}
    errors = said.get("errors") if isinstance(said, dict) else None
    if isinstance(errors, list) and errors:
        return "; ".join(map(str, errors))
    return str(job.get("stderr") or "").strip()
