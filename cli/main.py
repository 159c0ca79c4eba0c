"""The `agent-service` command."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from cli.client.connection import choose_connection
from cli.errors import ServiceRefused, TerminalError
from cli.exit_status import FAILED, REFUSED
from cli.lazy_group import CONTEXT, TOKEN, URL, CommandEntry, LazyGroup

# httpx imports click, rich and pygments for a command of its own, a quarter of our start; without it httpx does without
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

JOBS, SERVICE, MACHINE = "Jobs", "Service", "This machine"
PACKAGES = {JOBS: "jobs", SERVICE: "service", MACHINE: "machine"}

COMMANDS = {
    "run": CommandEntry("Run an agent, show its steps, and print its answer.", JOBS),
    "jobs": CommandEntry("List jobs, newest first.", JOBS),
    "show": CommandEntry("Show one job: status, cost, changes, answer.", JOBS),
    "watch": CommandEntry("Follow a job live, from its beginning.", JOBS),
    "logs": CommandEntry("Print the log of a job.", JOBS),
    "diff": CommandEntry("Print what a job changed in git, as a patch.", JOBS),
    "rerun": CommandEntry("Run a job again with the same request.", JOBS),
    "cancel": CommandEntry("Cancel jobs and wait until they have ended.", JOBS),
    "agents": CommandEntry("List the agents of a workspace.", SERVICE),
    "schedules": CommandEntry("List schedules, or switch one on or off.", SERVICE),
    "triage": CommandEntry("Run a triage now, or list what it would do.", SERVICE),
    "apply": CommandEntry("Apply a changed prefect.yaml.", SERVICE),
    "kept": CommandEntry("List or restore work that agents left unpushed on this host.", SERVICE, asks_service=False),
    "status": CommandEntry("Show what the service does now.", SERVICE),
    "pause": CommandEntry("Start no more agents, on any host.", SERVICE),
    "resume": CommandEntry("Start agents again after `pause`.", SERVICE),
    "up": CommandEntry("Start the service: Prefect's server, the API and a host.", MACHINE, asks_service=False),
    "doctor": CommandEntry("Check this machine and say how to fix what is wrong.", MACHINE, asks_service=False),
    "demo": CommandEntry("Try everything in two minutes, without key or internet.", MACHINE, asks_service=False),
    "backup": CommandEntry("Back up STATE_DIR while the service runs.", MACHINE, asks_service=False),
    "context": CommandEntry("Name services, and choose which one commands ask.", MACHINE, asks_service=False),
}


class Commands(LazyGroup):
    """The commands of `agent-service`."""

    entries = COMMANDS
    packages = {panel: f"cli.commands.{name}" for panel, name in PACKAGES.items()}


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        from cli.commands.machine.version import version_line

        print(version_line())
        raise typer.Exit


@app.callback()
def agent_service(
    service_url: Annotated[str | None, URL] = None,
    service_token: Annotated[str | None, TOKEN] = None,
    service_context: Annotated[str | None, CONTEXT] = None,
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_show_version, is_eager=True, help="Print the versions.")
    ] = False,
) -> None:
    """Run headless Claude Code agents for other programs."""
    choose_connection(service_url, service_token, service_context)


def main() -> None:
    """Run the command; an error that the operator can fix is one line on stderr."""
    try:
        app()
    except ServiceRefused as error:
        _report(error, REFUSED)
    except (TerminalError, OSError) as error:
        _report(error, FAILED)


def _report(error: Exception, status: int) -> None:
    if os.environ.get("AGENT_SERVICE_DEBUG"):
        raise error
    print(f"agent-service: {error}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
