"""`agent-service rerun`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.client.completion import complete_job
from cli.client.job_ids import whole_id
from cli.client.service import reach_service
from cli.display.json_output import print_json

HELP = (
    "Run a job again with the same request, show its steps, and print its answer.\n\n"
    "The new job has an id of its own. Ctrl-C cancels it, as with `run`."
)


def rerun(
    job: Annotated[
        str, typer.Argument(help="The id of the earlier job, or its beginning.", autocompletion=complete_job)
    ],
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Print the new job's id and exit.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the finished job as one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no steps.")] = False,
) -> None:
    """Run a job again; HELP is its help text."""
    from cli.commands.jobs.follow_job import JobFollower
    from cli.commands.jobs.interrupt import InterruptHandler, held_signals
    from cli.display.job_result import show_beginning

    with reach_service() as service, held_signals() as release:
        started = service.post(f"/jobs/{whole_id(service, job)}/rerun").json()
        if detach:
            print_json(started) if as_json else print(started["job_id"])
            return
        if not quiet:
            show_beginning(started)
        follower = JobFollower(service, started["job_id"], budget_usd=None, as_json=as_json, quiet=quiet)
        status = follower.stay(InterruptHandler(service, started["job_id"]), ready=release)
    raise typer.Exit(status)
