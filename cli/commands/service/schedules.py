"""`agent-service schedules`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from cli.client.service import reach_service
from cli.display.formatting import STYLES, age
from cli.display.json_output import print_json
from cli.display.table import Cell, show_table
from cli.errors import TerminalError

HELP = (
    "List schedules with their next and last runs, or switch one on or off.\n\n"
    "A table on a terminal; elsewhere one schedule a line, separated by tabs: name, on or off, next run, last status, "
    "rule. What is switched here stays so until `active` changes in prefect.yaml."
)


def schedules(
    on: Annotated[str | None, typer.Option("--on", help="Switch on: DEPLOYMENT or DEPLOYMENT/SLUG.")] = None,
    off: Annotated[str | None, typer.Option("--off", help="Switch off.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer of GET /schedules.")] = False,
) -> None:
    """List schedules; HELP is its help text."""
    with reach_service() as service:
        found = service.get("/schedules").json()["schedules"]
        for name, active in ((on, True), (off, False)):
            if name is not None:
                for chosen in _named(found, name):
                    service.patch(f"/schedules/{chosen['id']}", json={"active": active})
        if on or off:
            found = service.get("/schedules").json()["schedules"]
    if as_json:
        print_json(found)
        return
    show_table(("NAME", "STATE", "NEXT", "LAST", "RULE"), [_row(one) for one in found], empty="no schedules")


def _named(found: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    chosen = [one for one in found if name in (one["deployment"], one["name"])]
    if not chosen:
        known = ", ".join(one["name"] for one in found) or "none"
        raise TerminalError(f"no schedule {name!r}; there are: {known}")
    return chosen


def _row(one: dict[str, Any]) -> tuple[Cell | str, ...]:
    last, following = one.get("last") or {}, one.get("next_at") or ""
    return (
        one["name"],
        Cell("on", "green") if one["active"] else Cell("off", "dim"),
        Cell(age(datetime.fromisoformat(following)) if following else "", raw=following),
        Cell(last.get("status") or "", STYLES.get(last.get("status") or "", "")),
        one["rule"],
    )
