"""`agent-service watch`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.client.completion import complete_job
from cli.client.job_ids import newest_id, whole_id
from cli.client.service import reach_service

if TYPE_CHECKING:
    from cli.display.job_view import View

HELP = (
    "Follow a job from its beginning, and print its answer.\n\n"
    "Also for a job that has ended. Ctrl-C stops following; the job goes on."
)


def watch(
    job: Annotated[
        str | None,
        typer.Argument(help="The job's id, or its beginning; default: the newest.", autocompletion=complete_job),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the finished job as one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no steps.")] = False,
) -> None:
    """Watch a job; HELP is its help text."""
    from cli.commands.jobs.follow_job import JobFollower
    from cli.display.job_result import show_beginning

    with reach_service() as service:
        job_id = whole_id(service, job) if job else newest_id(service)
        found = service.get(f"/jobs/{job_id}").json()
        if not quiet:
            show_beginning(found)
        attendance = JobFollower(service, job_id, budget_usd=None, as_json=as_json, quiet=quiet)
        status = attendance.stay(_leave)
    raise typer.Exit(status)


def _leave(view: View) -> bool:
    view.note("not looking any more; the job goes on")
    return False
