"""`agent-service doctor`."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from agent.settings import AgentSettings
from agent.system.text import printable
from api.settings import ApiSettings
from cli.display.json_output import print_json
from cli.doctor.checks import run_checks
from cli.doctor.context import read_world
from cli.doctor.finding import Finding, Level, broken
from deployments.settings import HostSettings, SettingsError, load_env_file
from store.settings import StoreSettings

HELP = (
    "Check everything that the service needs, and say what is wrong and what to type.\n\n"
    "Works with the service up or down, changes nothing, prints no secret, and takes some 15 seconds at most. Run it "
    "as the service's user, with the service's environment: it tells what the service would find.\n\n"
    "Exits with 0 if nothing is broken (there may be warnings), with 1 otherwise."
)

SIGNS: dict[Level, tuple[str, str]] = {
    "ok": ("✓", "green"),
    "warning": ("!", "yellow"),
    "broken": ("✗", "bold red"),
    "skipped": ("-", "dim"),
}
_WIDTH = 14


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of what was found.")] = False,
) -> None:
    """Examine this host; HELP is its help text."""
    findings = _findings()
    if as_json:
        print_json([one.model_dump() for one in findings])
    else:
        console = Console(highlight=False)
        for one in findings:
            _show(console, one)
        _sum_up(console, findings)
    raise typer.Exit(any(one.level == "broken" for one in findings))


def _findings() -> list[Finding]:
    try:
        load_env_file([AgentSettings, ApiSettings, HostSettings, StoreSettings])
        world = read_world(os.environ)
    except SettingsError as error:
        return [broken("settings", error.reason, error.remedy)]
    return asyncio.run(run_checks(world))


def _show(console: Console, one: Finding) -> None:
    sign, style = SIGNS[one.level]
    width = max(_WIDTH, len(one.check) + 1)
    words = printable(one.text, one_line=True)
    console.print(Text.assemble((sign, style), " ", f"{one.check:<{width}}", words), soft_wrap=True)
    if one.mend:
        mend = printable(one.mend, one_line=True)
        console.print(
            Text.assemble(" " * (width + 2), "→ ", (mend, "dim" if one.level == "ok" else "bold")), soft_wrap=True
        )


def _sum_up(console: Console, findings: list[Finding]) -> None:
    counts = {level: sum(one.level == level for one in findings) for level in SIGNS}
    if counts["broken"]:
        console.print(Text(f"{counts['broken']} broken", style="bold red"))
    else:
        warnings = f", {counts['warning']} worth knowing" if counts["warning"] else ""
        console.print(Text(f"nothing is broken{warnings}", style="green"))
