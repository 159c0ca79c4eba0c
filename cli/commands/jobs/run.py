"""`agent-service run`."""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import uuid4

import httpx
import typer

from agent.domain.request import Effort, OnCrash
from cli.client.completion import complete_agent, complete_workspace
from cli.client.service import reach_service
from cli.display.json_output import print_json
from cli.errors import ServiceRefused

_BUSY_SECONDS = 30.0
"""For so long a 503 is tried again: the key makes it the same job."""

HELP = (
    "Run an agent as a job, show its steps, and print its answer.\n\n"
    "Steps go to stderr, the answer alone to stdout. On a terminal the last line shows time, turns, tokens and, at the "
    "end, dollars. A connection that breaks is opened again.\n\n"
    "Ctrl-C asks the service to cancel the job and waits for its end; a second Ctrl-C leaves at once."
)


def run(
    agent: Annotated[
        str, typer.Argument(help="The agent's name, or the path of its definition.", autocompletion=complete_agent)
    ],
    prompt: Annotated[str, typer.Argument(help="The task; `-` reads it from stdin.")],
    budget: Annotated[float, typer.Option(help="The budget, in US dollars.")] = 5.0,
    timeout: Annotated[int, typer.Option(help="The time limit, in seconds.")] = 2700,
    model: Annotated[str | None, typer.Option(help="A model instead of the one in the agent's file.")] = None,
    effort: Annotated[Effort | None, typer.Option(help="The model's reasoning effort.")] = None,
    max_turns: Annotated[int | None, typer.Option(help="The most turns.")] = None,
    schema: Annotated[
        Path | None, typer.Option(help="A file with a JSON Schema that the answer must satisfy.", dir_okay=False)
    ] = None,
    workspace: Annotated[
        str, typer.Option(help="The name of a configured workspace.", autocompletion=complete_workspace)
    ] = "default",
    ref: Annotated[str | None, typer.Option(help="A branch, tag or commit instead of the workspace's own.")] = None,
    strict_workspace: Annotated[
        bool, typer.Option("--strict-workspace", help="Fail if the workspace's remote is away.")
    ] = False,
    on_crash: Annotated[
        OnCrash, typer.Option(help="After its host stopped or crashed: the job fails, or is resumed.")
    ] = "fail",
    priority: Annotated[Literal["high", "default", "low"], typer.Option(help="The queue.")] = "default",
    at: Annotated[str | None, typer.Option(help="Start no earlier than this: ISO 8601. Use it with --detach.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag of the run; may be repeated.")] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE, returned with the job; may be repeated.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="An Idempotency-Key: the same one gives the same job for a day.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Print the job's id and exit.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the finished job as one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no steps.")] = False,
) -> None:
    """Run an agent; HELP is its help text."""
    from cli.commands.jobs.follow_job import JobFollower
    from cli.commands.jobs.interrupt import InterruptHandler, held_signals
    from cli.display.job_result import show_beginning

    body = {
        "agent": agent,
        "prompt": sys.stdin.read() if prompt == "-" else prompt,
        "max_budget_usd": budget,
        "timeout_seconds": timeout,
        "model": model,
        "effort": effort,
        "max_turns": max_turns,
        "json_schema": _read_schema(schema),
        "workspace": workspace,
        "ref": ref,
        "strict_workspace": strict_workspace,
        "on_crash": on_crash,
        "priority": priority,
        "run_at": _moment(at),
        "tags": tag or [],
        "metadata": _read_pairs(metadata) if metadata else None,
    }
    with reach_service() as service, held_signals() as release:
        job = _submit(service, body, key or str(uuid4()))
        if detach:
            print_json(job) if as_json else print(job["job_id"])
            return
        if not quiet:
            show_beginning(job)
        attendance = JobFollower(service, job["job_id"], budget_usd=budget, as_json=as_json, quiet=quiet)
        status = attendance.stay(InterruptHandler(service, job["job_id"]), ready=release)
    raise typer.Exit(status)


def _submit(service: httpx.Client, body: dict[str, Any], key: str) -> dict[str, Any]:
    """Queue the job once, even if the connection breaks before the answer, or Prefect is busy for a while."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            job: dict[str, Any] = service.post("/execute", json=body, headers={"Idempotency-Key": key}).json()
            return job
        except (httpx.ReadError, httpx.RemoteProtocolError, ServiceRefused) as error:
            is_busy = not isinstance(error, ServiceRefused) or error.status_code == httpx.codes.SERVICE_UNAVAILABLE
            if not is_busy or time.monotonic() > deadline:
                raise
        time.sleep(1)


def _read_schema(path: Path | None) -> Any:
    if path is None:
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{path} cannot be read as JSON: {error}", param_hint="--schema") from None


def _read_pairs(pairs: list[str]) -> dict[str, str]:
    wrong = next((pair for pair in pairs if "=" not in pair), None)
    if wrong is not None:
        raise typer.BadParameter(f"{wrong!r} is not KEY=VALUE", param_hint="--metadata")
    return dict(pair.split("=", 1) for pair in pairs)


def _moment(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone().isoformat()
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not ISO 8601", param_hint="--at") from None
