"""The `agent-service` command."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from agent.domain.errors import AgentError
from agent.settings import AgentSettings
from api.settings import ApiSettings
from cli.client.service import ServiceRefused
from cli.commands import cancel, doctor, jobs, run, watch
from cli.commands import pause as switch
from cli.commands.apply import apply_register
from cli.commands.demo import show_demo
from cli.commands.kept import kept
from cli.commands.triage import plan_triage, run_triage
from cli.commands.up import start_service
from cli.exit_status import EPILOG, REFUSED
from deployments.maintenance.backup import BackupFailed, back_up
from deployments.settings import HostSettings, SettingsError, load_env_file, read_environment
from deployments.standalone.parent_watch import watch_parent
from deployments.standalone.prefect_server import PrefectServerFailed
from store.settings import StoreSettings

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
    """Start the service on this machine: Prefect's server, the API, and the agents' host."""
    if exit_with_parent:
        watch_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    raise typer.Exit(start_service(only.value if only else None))


app.command(help=run.HELP, epilog=EPILOG)(run.run)
app.command(help=watch.HELP, epilog=EPILOG)(watch.watch)
app.command(help=jobs.HELP)(jobs.jobs)
app.command(help=cancel.HELP)(cancel.cancel)
app.command(help=doctor.HELP)(doctor.doctor)


@app.command()
def triage(
    name: Annotated[str, typer.Argument(help="The name of a triage in prefect.yaml.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be done, and what it may cost; start no agent.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Handle what was handled, or set aside, once more.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Have the running service look at what came in, now."""
    raise typer.Exit((plan_triage if dry_run else run_triage)(name, again=again, as_json=as_json))


@app.command()
def pause(
    cancel: Annotated[bool, typer.Option("--cancel", help="Also end the agents that are at work.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what is paused as JSON.")] = False,
) -> None:
    """Start no agent any more, on any host, until `resume`; jobs may still be queued."""
    raise typer.Exit(switch.pause(cancel=cancel, as_json=as_json))


@app.command()
def resume(
    as_json: Annotated[bool, typer.Option("--json", help="Print what is still paused as JSON.")] = False,
) -> None:
    """Start agents again after `pause`; of what each schedule has missed meanwhile, one run is made up for."""
    raise typer.Exit(switch.resume(as_json=as_json))


@app.command()
def apply() -> None:
    """Bring Prefect to a changed prefect.yaml; one with a mistake in it changes nothing."""
    raise typer.Exit(apply_register())


@app.command()
def backup(target: Annotated[Path, typer.Argument(help="A new directory.")]) -> None:
    """Copy what cannot be made again from STATE_DIR to a directory that can take its place; the service may run."""
    for place in back_up(read_environment(AgentSettings).state_dir, target):
        print(place)


@app.command()
def demo() -> None:
    """Show all of it in a minute, without key or internet: the offline model answers."""
    raise typer.Exit(show_demo())


def main() -> None:
    """Run the command; an error that the operator can fix is one line on stderr."""
    try:
        load_env_file([AgentSettings, ApiSettings, HostSettings, StoreSettings])
        app()
    except ServiceRefused as error:
        print(f"agent-service: {error}", file=sys.stderr)
        sys.exit(REFUSED)
    except (AgentError, BackupFailed, PrefectServerFailed, SettingsError) as error:
        print(f"agent-service: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
