"""`agent-service resume`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.client.service import reach_service
from cli.display.json_output import print_json

HELP = "Start agents again after `pause`. Each schedule that missed runs meanwhile makes up for one of them."


def resume(as_json: Annotated[bool, typer.Option("--json", help="Print the answer of POST /resume.")] = False) -> None:
    """Resume agents; HELP is its help text."""
    with reach_service() as service:
        before = service.get("/health").json().get("paused")
        switched = service.post("/resume").json()
    if as_json:
        print_json(switched)
    else:
        print(f"resumed: {', '.join(before)}" if before else "nothing was paused")
