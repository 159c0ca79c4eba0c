"""The command `agent-service`."""

from __future__ import annotations

import os
import signal
import sys
from enum import StrEnum
from pathlib import Path
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
from cli.exit_status import EPILOG, REFUSED
from deployments.maintenance.backup import BackupFailed, back_up
from deployments.settings import HostSettings, SettingsError, read_environment
from deployments.standalone.parent_watch import watch_parent
from deployments.standalone.prefect_environment import chosen_environment
from deployments.standalone.prefect_server import PortInUse, PrefectServerFailed
from deployments.standalone.supervisor import supervise

app = typer.Typer(no_args_is_help=True, add_completion=True, help="Run headless Claude Code agents for other programs.")
app.add_typer(kept, name="kept")


class ServicePart(StrEnum):
    """What `up` can start alone."""

    prefect = "prefect"
    host = "host"


@app.command()
def up(
    only: Annotated[ServicePart | None, typer.Option(help="Start this part alone.")] = None,
    exit_with_parent: Annotated[
        bool, typer.Option("--exit-with-parent", help="End in order once the process that started this one has gone.")
    ] = False,
) -> None:
    """Start the service on this machine: Prefect's server, the API, and the agents' host."""
    if exit_with_parent:
        watch_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    settings, api = read_environment(AgentSettings), read_environment(ApiSettings)
    for_server = chosen_environment(read_environment(HostSettings))
    address = (api.api_host, api.api_port)
    raise typer.Exit(supervise(settings.state_dir, address, only.value if only else None, for_server))


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
    """Run the command; what an operator can mend is one line on stderr."""
    try:
        app()
    except ServiceRefused as error:
        print(f"agent-service: {error}", file=sys.stderr)
        sys.exit(REFUSED)
    except (AgentError, BackupFailed, PortInUse, PrefectServerFailed, SettingsError) as error:
        print(f"agent-service: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
