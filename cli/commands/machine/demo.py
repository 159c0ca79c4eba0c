"""`agent-service demo`."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.console import Console

from cli.commands.machine.demo_tour import TourFailed, show_tour
from demo.offline_model.model import OfflineModel
from demo.service import Stage, StageFailed, set_stage

HELP = (
    "Try everything in two minutes, without key or internet.\n\n"
    "Starts the service on free ports of this machine with a scripted model, runs a chat completion, a job, a "
    "schedule and a triage through the real CLI, and stops. --stay leaves it running until Ctrl-C."
)

console = Console()


def demo(
    stay: Annotated[bool, typer.Option("--stay", help="Leave it running, to look at, until Ctrl-C.")] = False,
) -> None:
    """Show the service; HELP is its help text."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is stopped in any case
    processes: set[psutil.Process] = set()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="agent-service-demo-", ignore_cleanup_errors=True) as scratch,
            OfflineModel() as model,
        ):
            well = _show(Path(scratch), model.url, stay=stay, processes=processes)
    except KeyboardInterrupt:
        console.print("\nInterrupted; everything was stopped.")
        raise typer.Exit(130) from None
    left = [process for process in processes if _is_alive(process)]
    console.print(f"Stopped. Processes left: {len(left)}.")
    raise typer.Exit(0 if well and not left else 1)


def _show(scratch: Path, model_url: str, *, stay: bool, processes: set[psutil.Process]) -> bool:
    """Start the service, show it, and stop it; return True if all went well."""
    console.print("Starting Prefect, the API and a host; the offline model stands in for the real one …")
    started = time.monotonic()
    try:
        with set_stage(scratch, model_url) as stage:
            processes |= _family(stage)
            console.print(f"Ready after {time.monotonic() - started:.0f} s.\n")
            well = _tour(stage, links=stay)
            processes |= _family(stage)
            if stay:
                _stay(stage)
            return well
    except StageFailed as failure:
        console.print(str(failure), markup=False)
        return False


def _tour(stage: Stage, *, links: bool) -> bool:
    try:
        show_tour(stage, links=links)
    except TourFailed as failure:
        console.print(f"The demo failed: {failure}", markup=False, soft_wrap=True)
        console.print(f"The service said last:\n{stage.log()[-1500:]}", markup=False, soft_wrap=True)
        return False
    return True


def _stay(stage: Stage) -> None:
    """Say where everything is, and wait for Ctrl-C."""
    user, password = stage.prefect_auth.split(":", 1)
    for name, value in (
        ("Page", f"{stage.url}/"),
        ("API", f"{stage.url}/docs"),
        ("Token", stage.token),
        ("Prefect", stage.prefect_url),
        ("Password", f"{password}  (user {user}; Prefect's UI asks for {stage.prefect_auth})"),
        ("Terminal", f"agent-service jobs --url {stage.url} --token {stage.token}"),
    ):
        console.print(f"{name + ':':<10} {value}", markup=False, soft_wrap=True)
    console.print("\nCtrl-C stops it.")
    try:
        while stage.process.poll() is None:
            time.sleep(0.5)
    except KeyboardInterrupt:
        console.print()


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _family(stage: Stage) -> set[psutil.Process]:
    try:
        process = psutil.Process(stage.process.pid)
        return {process, *process.children(recursive=True)}
    except psutil.NoSuchProcess:
        return set()
