"""`agent-service logs`."""

from __future__ import annotations

from typing import Annotated

import typer

from agent.system.text import printable
from cli.client.completion import complete_job
from cli.client.job_ids import newest_id, whole_id
from cli.client.service import reach_service
from cli.display.formatting import local_time
from cli.display.json_output import print_json

HELP = "Print the log of a job: its steps, retries and warnings. `watch` shows the agent's words live."


def logs(
    job: Annotated[
        str | None,
        typer.Argument(help="The job's id, or its beginning; default: the newest.", autocompletion=complete_job),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the lines as a JSON list.")] = False,
) -> None:
    """Print the log of a job; HELP is its help text."""
    with reach_service() as service:
        job_id = whole_id(service, job) if job else newest_id(service)
        page = service.get(f"/jobs/{job_id}/logs").json()
        lines = page["lines"]
        while page["next"]:
            page = service.get(page["next"]).json()
            lines += page["lines"]
    if as_json:
        print_json(lines)
        return
    for line in lines:
        print(f"{local_time(line['at'])}  {line['level']:<7}  {printable(line['message'], one_line=True)}")
