"""`agent-service up`."""

from __future__ import annotations

import os
import signal
import sys
import threading
from enum import StrEnum
from typing import Annotated

import typer

from agent.domain.errors import NotConfigured
from agent.provider.credential_check import check_credential
from agent.settings import AgentSettings
from api.settings import ApiSettings
from cli.errors import reported
from deployments.settings import HostSettings, SettingsError, load_env_file, read_environment
from deployments.standalone.api_token import create_token, token_path
from deployments.standalone.parent_watch import watch_parent
from deployments.standalone.prefect_environment import chosen_environment
from deployments.standalone.prefect_server import CannotListen, PrefectServerFailed, listen
from deployments.standalone.preflight import check_directories, check_prefect_settings, check_start
from deployments.standalone.supervisor import CANNOT_START, Part, supervise
from store.settings import StoreSettings

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
    with reported(PrefectServerFailed, SettingsError):
        load_env_file([AgentSettings, ApiSettings, HostSettings, StoreSettings])
        status = _start(only.value if only else None)
    raise typer.Exit(status)


def _start(only: Part | None) -> int:
    settings, api = read_environment(AgentSettings), read_environment(ApiSettings)
    for_server = chosen_environment(read_environment(HostSettings))
    try:
        check_directories(settings.state_dir)
        check_prefect_settings(settings.state_dir, os.environ, is_embedded_used=only != "host")
        if only != "prefect":
            _prepare_host(settings, api)
        return supervise(settings.state_dir, only, for_server)
    except (NotConfigured, CannotListen) as error:
        _notify(str(error))
        return CANNOT_START


def _prepare_host(settings: AgentSettings, api: ApiSettings) -> None:
    # a port in use is reported within a second, before Prefect's server starts
    listen(api.api_host, api.api_port, "API_PORT").close()
    for notice in check_start(settings, os.environ):
        _notify(notice)
    # a provider that does not answer must not keep the service waiting
    threading.Thread(target=_report_credential, args=[settings], name="credential check", daemon=True).start()
    if api.api_bearer_token is None or not api.api_bearer_token.get_secret_value():
        os.environ["API_BEARER_TOKEN"] = _find_token(settings)


def _report_credential(settings: AgentSettings) -> None:
    try:
        problem = check_credential(settings, os.environ).problem
    except NotConfigured as error:
        problem = str(error)
    if problem:
        _notify(problem)


def _find_token(settings: AgentSettings) -> str:
    token, is_new = create_token(settings.state_dir)
    place = token_path(settings.state_dir)
    if is_new:
        _notify(f"API_BEARER_TOKEN is not set: created one, kept in {place} and shown only now: {token}")
    else:
        _notify(f"API_BEARER_TOKEN is not set: callers need the token in {place}")
    return token


def _notify(text: str) -> None:
    print(f"agent-service: {text}", file=sys.stderr, flush=True)
