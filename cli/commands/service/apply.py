"""`agent-service apply`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.client.service import reach_service
from cli.display.json_output import print_json

HELP = "Apply a changed prefect.yaml: the running service reads it again. A file with an error changes nothing."


def apply(as_json: Annotated[bool, typer.Option("--json", help="Print the answer of POST /register.")] = False) -> None:
    """Apply the register; HELP is its help text."""
    with reach_service() as service:
        applied = service.post("/register").json()
    if as_json:
        print_json(applied)
    else:
        print(f"{applied['register_path']}: {', '.join(applied['deployments'])}")
