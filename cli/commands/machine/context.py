"""`agent-service context`."""

from __future__ import annotations

import os
import sys
from getpass import getpass
from typing import Annotated

import typer

from cli.client.connection import checked_url, contexts_path, find_connection, read_contexts, write_contexts
from cli.display.json_output import print_json
from cli.display.table import show_table
from cli.errors import TerminalError

context = typer.Typer(
    invoke_without_command=True,
    help="Name services, and choose which one commands ask.\n\n"
    "Commands use, in this order: --url or --context; API_HOST, API_PORT and API_BEARER_TOKEN of the environment; "
    "the current context; `.env` in this directory; http://127.0.0.1:8080.",
)


@context.callback()
def list_contexts(
    caller: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False
) -> None:
    """List the contexts, without their tokens, and say which service commands ask now."""
    if caller.invoked_subcommand is not None:
        return
    known = read_contexts(contexts_path(os.environ))
    if as_json:
        shown = {name: {"url": one["url"]} for name, one in known["contexts"].items()}
        print_json({"current": known["current"], "contexts": shown})
        return
    rows = [("*" if name == known["current"] else "", name, one["url"]) for name, one in known["contexts"].items()]
    show_table(("", "NAME", "URL"), rows, empty="no contexts")
    used = find_connection()
    print(f"commands here ask {used.url}, from {used.origin}", file=sys.stderr)


@context.command()
def add(
    name: Annotated[str, typer.Argument(help="A name for the service.")],
    url: Annotated[str, typer.Option("--url", help="Its address.")],
    token: Annotated[
        str | None, typer.Option("--token", help="Its API token; default: asked for, or read from stdin.")
    ] = None,
) -> None:
    """Add a context, or change it, and use it from now on."""
    path = contexts_path(os.environ)
    known = read_contexts(path)
    address = checked_url(url)
    if token is None:
        token = getpass("API token: ") if sys.stdin.isatty() else sys.stdin.readline()
    known["contexts"][name] = {"url": address, "token": token.strip()}
    write_contexts(path, known | {"current": name})
    print(f"{name}: {address}; commands ask it from now on")


@context.command()
def use(name: Annotated[str, typer.Argument(help="The context's name; `-`: none.")]) -> None:
    """Choose the context that commands ask."""
    path = contexts_path(os.environ)
    known = read_contexts(path)
    if name != "-" and name not in known["contexts"]:
        raise TerminalError(f"no context {name!r}; there are: {', '.join(sorted(known['contexts'])) or 'none'}")
    write_contexts(path, known | {"current": None if name == "-" else name})


@context.command()
def remove(name: Annotated[str, typer.Argument(help="The context's name.")]) -> None:
    """Remove a context and its token."""
    path = contexts_path(os.environ)
    known = read_contexts(path)
    if known["contexts"].pop(name, None) is None:
        raise TerminalError(f"no context {name!r}; there are: {', '.join(sorted(known['contexts'])) or 'none'}")
    write_contexts(path, known | {"current": None if known["current"] == name else known["current"]})
