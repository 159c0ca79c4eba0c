"""`agent-service kept`: the work that agents left unpushed on this host, listed and brought back."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from agent.domain.errors import WorkspaceError
from agent.settings import AgentSettings
from agent.system.text import printable
from agent.workspaces.kept_work import KeptWork
from agent.workspaces.workspaces import Workspaces
from deployments.settings import read_environment

kept = typer.Typer(invoke_without_command=True, help="What agents left unpushed on this host, the newest first.")


@kept.callback()
def list_kept(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False
) -> None:
    """List what agents left unpushed on this host, the newest first."""
    if context.invoked_subcommand is not None:
        return
    workspaces = Workspaces(read_environment(AgentSettings))
    found = asyncio.run(workspaces.kept())
    if as_json:
        print(json.dumps([one.model_dump(mode="json") for one in found], indent=2, ensure_ascii=False))
        return
    for one in found:
        print(_line(one))
    for path in workspaces.quarantined():
        print(f"set aside as it was, because git could not keep it: {printable(str(path))}")
    if not found:
        print("nothing is kept")


@kept.command()
def restore(
    run_id: Annotated[str, typer.Argument(help="The run's id, as `agent-service kept` lists it.")],
    directory: Annotated[
        Path | None, typer.Argument(help="A new directory for the clone; unset: kept-RUN_ID here.")
    ] = None,
) -> None:
    """Make a clone with the run's branch and commits, and with what it had not committed as changes."""
    workspaces = Workspaces(read_environment(AgentSettings))
    if not any(one.run_id == run_id for one in asyncio.run(workspaces.kept())):
        raise WorkspaceError(f"nothing is kept of run {run_id!r} on this host; `agent-service kept` lists what is")
    place = asyncio.run(workspaces.restore(run_id, directory or Path(f"kept-{run_id}")))
    print(f"restored to {place}, on the branch agent-run/{run_id}; see `git status` and `git log` there")


def _line(one: KeptWork) -> str:
    what = one.subject.removeprefix("Kept from a run: ")
    return "  ".join((one.run_id, f"{one.kept_at:%Y-%m-%d %H:%M} UTC", printable(one.workspace), printable(what)))
