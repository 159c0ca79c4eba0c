"""`agent-service cancel`."""

from __future__ import annotations

import time
from typing import Annotated, Any

import httpx
import typer

from agent.system.text import printable
from cli.client.completion import complete_running_job
from cli.client.job_ids import whole_id
from cli.client.service import reach_service
from cli.display.json_output import print_json
from cli.errors import ServiceRefused

HELP = (
    "Cancel jobs, queued or running, and wait until nothing of them runs.\n\n"
    "A job that has ended stays as it is. Exits with 0 once all have ended, 4 if the service is away or refuses."
)

_LOOK_SECONDS = 0.2
_PATIENCE_SECONDS = 60.0


def cancel(
    jobs: Annotated[
        list[str],
        typer.Argument(
            metavar="JOB...", help="Their ids, or the beginnings of them.", autocompletion=complete_running_job
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the jobs as a JSON list.")] = False,
) -> None:
    """End jobs; HELP is its help text."""
    with reach_service() as service:
        asked = [whole_id(service, job) for job in jobs]
        told = [service.post(f"/jobs/{job_id}/cancel").json() for job_id in asked]
        ended = [_ended(service, job) for job in told]
    if as_json:
        print_json(ended)
        return
    for job in ended:
        print(f"{job['state']}: {printable(job.get('error') or job['status'], one_line=True)}")


def _ended(service: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while job["status"] == "running":
        if time.monotonic() > deadline:
            raise ServiceRefused(f"the job {job['job_id']} is being cancelled, and still runs")
        time.sleep(_LOOK_SECONDS)
        job = service.get(f"/jobs/{job['job_id']}").json()
    return job
