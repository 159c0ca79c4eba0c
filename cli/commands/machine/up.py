"""`agent-service up`."""

from __future__ import annotations

import os
import signal
from enum import StrEnum
from typing import Annotated

import typer

from agent.domain.errors import AgentError
from agent.settings import AgentSettings
from api.settings import ApiSettings
from cli.errors import reported
from deployments.settings import HostSettings, SettingsError, read_environment
from deployments.standalone.parent_watch import watch_parent
from deployments.standalone.prefect_environment import chosen_environment
from deployments.standalone.prefect_server import PortInUse, PrefectServerFailed
from deployments.standalone.supervisor import supervise

HELP = "Start the service on this machine: Prefect's server, the API, and the host that runs agents. Ctrl-C stops it."


class ServicePart(StrEnum):
    """The parts that `up` can start alone."""

    prefect = "prefect"
    host = "host"


def up(
    only: Annotated[ServicePart | None, typer.Option(help="Start this part alone.")] = None,
    exit_with_parent: Annotated[
        bool, typer.Option("--exit-with-parent", help="Stop when the process that started this one has ended.")
    ] = False,
) -> None:
    """Start the service; HELP is its help text."""
    if exit_with_parent:
        watch_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    with reported(AgentError, PortInUse, PrefectServerFailed, SettingsError):
        settings, api = read_environment(AgentSettings), read_environment(ApiSettings)
        for_server = chosen_environment(read_environment(HostSettings))
        address = (api.api_host, api.api_port)
        status = supervise(settings.state_dir, address, only.value if only else None, for_server)
    raise typer.Exit(status)
