"""`agent-service diff`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from agent.system.text import printable
from cli.client.completion import complete_job
from cli.client.job_ids import newest_id, whole_id
from cli.client.service import reach_service
from cli.display.json_output import print_json

HELP = (
    "Print what a job changed in git, as a patch on stdout that `git apply` reads.\n\n"
    "The patch is cut at DIFF_MAX_BYTES; a note on stderr says so, and how to get all of it."
)


def diff(
    job: Annotated[
        str | None,
        typer.Argument(help="The job's id, or its beginning; default: the newest.", autocompletion=complete_job),
    ] = None,
    stat: Annotated[bool, typer.Option("--stat", help="Print the changed files and line counts only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the `workspace` member of the job.")] = False,
) -> None:
    """Print the diff of a job; HELP is its help text."""
    with reach_service() as service:
        found = service.get(f"/jobs/{whole_id(service, job) if job else newest_id(service)}").json()
    workspace = found.get("workspace")
    if as_json:
        print_json(workspace)
        return
    if not workspace or not workspace["diff"]:
        print(f"job {found['job_id']} ({found['status']}) changed nothing in git", file=sys.stderr)
        return
    _print(workspace["diffstat"] if stat else workspace["diff"])
    if workspace["diff_cut"] and not stat:
        print(f"cut here; all of it: {_everything(workspace, found['job_id'])}", file=sys.stderr)


def _everything(workspace: dict[str, object], job_id: str) -> str:
    return f"agent-service kept restore {job_id}" if workspace.get("kept_ref") else "the commits that were pushed"


def _print(text: str) -> None:
    if not sys.stdout.isatty():
        sys.stdout.write(text)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for line in printable(text).splitlines():
        console.print(Text(line, style=_style(line)), soft_wrap=True)


def _style(line: str) -> str:
    if line.startswith(("+++", "---", "diff ", "index ")):
        return "bold"
    return {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
