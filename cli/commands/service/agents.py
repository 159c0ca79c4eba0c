"""`agent-service agents`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.client.completion import complete_workspace
from cli.client.service import reach_service
from cli.display.json_output import print_json
from cli.display.table import show_table

HELP = (
    "List the agents of a workspace, from `.claude/agents`.\n\n"
    "A table on a terminal; elsewhere one agent a line, separated by tabs: name, model, description. The CLI's own "
    "agents, e.g. general-purpose, are not listed and can be used as well."
)


def agents(
    workspace: Annotated[
        str, typer.Option(help="The name of a configured workspace.", autocompletion=complete_workspace)
    ] = "default",
    ref: Annotated[str | None, typer.Option(help="A branch, tag or commit instead of the workspace's own.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer of GET /agents.")] = False,
) -> None:
    """List agents; HELP is its help text."""
    params = {"workspace": workspace} | ({"ref": ref} if ref else {})
    with reach_service() as service:
        found = service.get("/agents", params=params).json()
    if as_json:
        print_json(found)
        return
    rows = [(agent["name"], agent.get("model") or "", agent.get("description") or "") for agent in found["agents"]]
    show_table(("NAME", "MODEL", "DESCRIPTION"), rows, empty=f"no agents at {found['ref']} of {found['workspace']}")
