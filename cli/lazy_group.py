"""A Typer group that imports the module of a command only when that command runs.

Imports are most of what a short command takes: the doctor alone brings Prefect and SQLAlchemy.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from cli.client.connection import choose_connection

URL = typer.Option("--url", help="The service's address instead of the configured one.", rich_help_panel="Connection")
TOKEN = typer.Option("--token", help="The API token to send to --url.", rich_help_panel="Connection")
CONTEXT = typer.Option("--context", help="A context of `agent-service context`.", rich_help_panel="Connection")


class CommandEntry(NamedTuple):
    """A command: its summary in the list of commands, and where its function, or its Typer application, is."""

    summary: str
    panel: str
    asks_service: bool = True


class LazyGroup(TyperGroup):
    """A group of commands; made by Typer once per process. A subclass names them, and the package of each panel."""

    entries: dict[str, CommandEntry]
    packages: dict[str, str]

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, entry in self.entries.items():
            self.commands[name] = TyperCommand(name, help=entry.summary, rich_help_panel=entry.panel)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the name, the command itself, and its arguments."""
        name, known, rest = super().resolve_command(ctx, args)
        return name, known if name is None else self.load(name), rest

    def load(self, name: str) -> Any:
        """Import the command and return it."""
        entry = self.entries[name]
        module = import_module(f"{self.packages[entry.panel]}.{name}")
        found = getattr(module, name)
        if isinstance(found, typer.Typer):
            return typer.main.get_command(found)
        single = typer.Typer(add_completion=False)
        function = _with_connection(found) if entry.asks_service else found
        text, epilog = getattr(module, "HELP", None), getattr(module, "EPILOG", None)
        single.command(name, help=text, epilog=epilog)(function)
        return typer.main.get_command(single)


def _with_connection(function: Callable[..., None]) -> Callable[..., None]:
    """Return the function with the options that say which service to ask."""
    hints = typing.get_type_hints(function, include_extras=True)
    signature = inspect.signature(function)
    own = [
        parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in signature.parameters.items()
    ]
    options = {
        name: Annotated[str | None, option] for name, option in (("url", URL), ("token", TOKEN), ("context", CONTEXT))
    }
    added = [
        inspect.Parameter(f"service_{name}", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in options.items()
    ]

    @wraps(function)
    def command(**arguments: Any) -> None:
        choose_connection(*(arguments.pop(f"service_{name}") for name in options))
        function(**arguments)

    del command.__wrapped__  # else inspect would read the signature of `function`
    command.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *added)}
    return command
