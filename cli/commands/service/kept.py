"""`agent-service kept`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from agent.domain.errors import AgentError, WorkspaceError
from agent.git.inert import SUFFIX
from agent.settings import AgentSettings
from agent.system.text import printable
from agent.workspaces.kept_work import KeptWork, renamed_in
from agent.workspaces.workspaces import Workspaces
from cli.client.job_ids import shortened
from cli.display.json_output import print_json
from cli.display.table import Cell, show_table
from cli.errors import reported
from deployments.settings import SettingsError, read_environment

HELP = "List work that agents left unpushed on this host, newest first, or restore it."

kept = typer.Typer(invoke_without_command=True, help=HELP)


@kept.callback()
def list_kept(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False
) -> None:
    """List what agents left unpushed on this host, newest first."""
    if context.invoked_subcommand is not None:
        return
    with reported(AgentError, SettingsError):
        workspaces = Workspaces(read_environment(AgentSettings))
        found = asyncio.run(workspaces.kept())
        quarantined = workspaces.quarantined()
    if as_json:
        print_json([one.model_dump(mode="json") for one in found])
        return
    ids = [one.run_id for one in found]
    show_table(("RUN", "KEPT", "WORKSPACE", "WHAT"), [_row(one, ids) for one in found], empty="nothing is kept")
    for path in quarantined:
        print(f"quarantined, because git could not store it: {printable(str(path))}")


@kept.command()
def restore(
    run_id: Annotated[str, typer.Argument(help="The run's id, or its beginning, as `agent-service kept` lists it.")],
    directory: Annotated[
        Path | None, typer.Argument(help="A new directory for the clone; default: kept-RUN_ID here.")
    ] = None,
) -> None:
    """Clone with the run's branch and commits; what it had not committed are uncommitted changes."""
    with reported(AgentError, SettingsError):
        workspaces = Workspaces(read_environment(AgentSettings))
        whole = _whole_id(run_id, asyncio.run(workspaces.kept()))
        place = asyncio.run(workspaces.restore(whole, directory or Path(f"kept-{whole}")))
    print(f"restored to {place}, on the branch agent-run/{whole}; see `git status` and `git log` there")
    for path in renamed_in(place):
        print(f"renamed, because it would act on whoever looks there: {printable(path)} -> {printable(path)}{SUFFIX}")


def _whole_id(asked: str, found: list[KeptWork]) -> str:
    """Return the id that is `asked` or begins so. Raises WorkspaceError if there is none, or several."""
    ids = [one.run_id for one in found]
    matching = [asked] if asked in ids else [one for one in ids if one.startswith(asked)]
    if len(matching) > 1:
        raise WorkspaceError(f"{asked!r} is the beginning of several runs: {', '.join(matching)}")
    if not matching:
        raise WorkspaceError(f"nothing is kept of run {asked!r} on this host; `agent-service kept` lists what is")
    return matching[0]


def _row(one: KeptWork, ids: list[str]) -> tuple[Cell | str, ...]:
    return (
        Cell(shortened(one.run_id, ids), raw=one.run_id),
        Cell(f"{one.kept_at.astimezone():%Y-%m-%d %H:%M}", raw=one.kept_at.isoformat()),
        one.workspace,
        one.subject.removeprefix("Kept from a run: "),
    )
