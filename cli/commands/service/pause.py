"""`agent-service pause`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.client.service import reach_service
from cli.display.json_output import print_json

HELP = "Start no more agents, on any host, until `resume`. Jobs can still be queued."


def pause(
    cancel: Annotated[bool, typer.Option("--cancel", help="Also cancel the runs in progress.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer of POST /pause.")] = False,
) -> None:
    """Pause agents; HELP is its help text."""
    with reach_service() as service:
        switched = service.post("/pause", json={"cancel": cancel}).json()
    if as_json:
        print_json(switched)
        return
    print(f"paused: {', '.join(switched['paused'])}; `agent-service resume` starts agents again")
    if cancel:
        print(f"cancelled: {switched['cancelled']} runs")
