"""Prefect's stock SQLite server beside the embedded one, under 1, 4 and 16 flows of three tasks at once.

`python -m benchmarks.cases.embedded_server` takes some four minutes, most of them the stock server's.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from benchmarks.rivals.stock_prefect import stock_prefect
from deployments.standalone.prefect_environment import client_environment
from deployments.standalone.prefect_server import start_server

RUNS = {1: 12, 4: 24, 16: 48}
"""How many runs are measured with how many at once."""

LIMIT_SECONDS = 60.0

SAVE_BLOCK = (
    "import asyncio, sys, pathlib; from deployments.registration.storage_block import save_storage_block; "
    "print(asyncio.run(save_storage_block(pathlib.Path(sys.argv[1]))))"
)


@dataclass(frozen=True)
class Way:
    """One way to run flows against one server."""

    name: str
    api_url: str
    environment: Mapping[str, str]
    held: bool = False


def main() -> None:
    """Measure, and print a table."""
    print(f"{'':36}{'at once':>8}{'median':>9}{'p95':>9}{'runs/s':>8}{'503':>6}{'CPU here':>10}{'CPU server':>12}")
    print(f"{'':36}{'':>8}{'ms':>9}{'ms':>9}{'':>8}{'':>6}{'ms a run':>10}{'ms a run':>12}")
    with tempfile.TemporaryDirectory() as scratch:
        starts = [measure_stock(Path(scratch) / "stock"), *measure_embedded(Path(scratch) / "embedded")]
    for name, seconds in zip(("stock, fresh", "embedded, fresh", "embedded, again"), starts, strict=True):
        print(f"{name + ' start until healthy':36}{seconds:8.1f} s")


def measure_stock(directory: Path) -> float:
    """Print the stock server's rows, and return the seconds it took to start."""
    started = time.monotonic()
    with stock_prefect(directory) as api_url:
        ready = time.monotonic() - started
        measure(Way("stock Prefect SQLite", api_url, {"PREFECT_API_URL": api_url, **client_base(directory)}))
    return ready


def measure_embedded(directory: Path) -> list[float]:
    """Print the embedded server's rows, and return the seconds of its first and of its second start."""
    starts = []
    for measured in (True, False):
        started = time.monotonic()
        with start_server(directory) as server:
            starts.append(time.monotonic() - started)
            if measured:
                own = client_environment(server.api_url, server.auth_string, directory / "client")
                plain = {name: own[name] for name in ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING")}
                base = client_base(directory)
                measure(Way("embedded", server.api_url, base | plain))
                block = save_block(directory / "results", base | own)
                best = base | own | {"PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK": block}
                measure(Way("embedded, clients held by the host", server.api_url, best, held=True))
    return starts


def client_base(directory: Path) -> dict[str, str]:
    """Return what each client is told beside the server's address."""
    home = directory / "client"
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PREFECT_HOME": str(home),
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "DO_NOT_TRACK": "1",
    }


def save_block(directory: Path, environment: Mapping[str, str]) -> str:
    """Save the result storage block, in a process of its own as all of Prefect's clients here."""
    command = [sys.executable, "-c", SAVE_BLOCK, str(directory)]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def measure(way: Way) -> None:
    """Print a row for each number of runs at once."""
    server = listening_process(urlsplit(way.api_url).port)
    for at_once, runs in RUNS.items():
        before = cpu_seconds(server)
        result = run_load(way, at_once, runs)
        print(row(way.name, at_once, result, (cpu_seconds(server) - before) / runs), flush=True)


def run_load(way: Way, at_once: int, runs: int) -> dict[str, Any] | None:
    """Return what the load said, or None when it was not through in time."""
    command = [sys.executable, "-m", "benchmarks.harness.three_task_flow", str(at_once), str(runs)]
    try:
        ended = subprocess.run(
            [*command, "--held"] if way.held else command,
            env=way.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=LIMIT_SECONDS,
            check=True,
        )
    except subprocess.TimeoutExpired:
        return None
    result: dict[str, Any] = json.loads(ended.stdout)
    return result


def row(name: str, at_once: int, result: dict[str, Any] | None, server_cpu: float) -> str:
    """Return one line of the table."""
    if result is None:
        return f"{name:36}{at_once:8}   unfinished after {LIMIT_SECONDS:.0f} s"
    milliseconds = [1000 * seconds for seconds in result["seconds"]]
    median, p95 = statistics.median(milliseconds), statistics.quantiles(milliseconds, n=20)[-1]
    rate, here = len(milliseconds) / result["elapsed"], 1000 * result["cpu"] / len(milliseconds)
    return (
        f"{name:36}{at_once:8}{median:9.0f}{p95:9.0f}{rate:8.1f}{result['refused']:6}"
        f"{here:10.0f}{1000 * server_cpu:12.0f}"
    )


def listening_process(port: int | None) -> psutil.Process:
    """Return the process that serves on `port` of loopback."""
    for connection in psutil.net_connections("tcp"):
        listens = connection.status == psutil.CONN_LISTEN and getattr(connection.laddr, "port", None) == port
        if listens and connection.pid:
            return psutil.Process(connection.pid)
    raise RuntimeError(f"nothing listens on port {port}")


def cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time that the process has used."""
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    main()
