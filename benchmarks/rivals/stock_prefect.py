"""Prefect as it comes, to measure beside ours."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from demo.service import free_ports


@contextmanager
def stock_prefect(directory: Path) -> Iterator[str]:
    """`prefect server start` as it comes; gives its API's address."""
    directory.mkdir()
    [port] = free_ports(1)
    environment = stock_environment(directory)
    with (directory / "log").open("wb") as log:
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    url = f"http://127.0.0.1:{port}/api"
    try:
        wait_until_healthy(url, process)
        yield url
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End it, and wait until it has ended."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def stock_environment(directory: Path) -> Mapping[str, str]:
    """Nothing set but where it keeps its files, and that it sends nothing out."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "PREFECT_HOME": str(directory),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }


def wait_until_healthy(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return once the server answers; raises RuntimeError when it ends before that."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/health").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise RuntimeError("the stock Prefect server did not start")
