"""`agent-service backup`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from agent.settings import AgentSettings
from cli.display.json_output import print_json
from cli.errors import reported
from deployments.maintenance.backup import BackupFailed, back_up, missing_databases
from deployments.settings import SettingsError, read_environment

HELP = "Back up STATE_DIR to a new directory. Safe while the service runs."


def backup(
    target: Annotated[Path, typer.Argument(help="A directory that does not exist yet.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the copied paths as a JSON list.")] = False,
) -> None:
    """Back up the state directory; HELP is its help text."""
    with reported(BackupFailed, SettingsError):
        state_dir = read_environment(AgentSettings).state_dir
        copied = back_up(state_dir, target)
    for name in missing_databases(state_dir):
        print(f"agent-service: not copied: {state_dir / name} does not exist; back up your own server", file=sys.stderr)
    if as_json:
        print_json(copied)
        return
    for path in copied:
        print(path)
