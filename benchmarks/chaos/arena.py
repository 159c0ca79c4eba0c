"""A service that may be hurt: without schedules, on a file system of its own, with a remote that can be blocked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import yaml

from benchmarks.chaos.faults import SlowRemote, SmallDisk
from benchmarks.chaos.proxy import PrefectProxy
from demo.service import READY_SECONDS, REGISTER, Stage, StageFailed, free_ports, set_stage, stop

SLOW = "slow"
"""The workspace whose remote can be blocked."""

LIMIT = 1000
"""A concurrency limit that holds nothing up; with one, each run has a lease that Prefect can lose."""


@dataclass
class Arena:
    """The service, and what it can be hurt with besides signals.

    With a `proxy` Prefect's server is a process apart, and all that the host asks of it goes through there.
    """

    stage: Stage
    remote: SlowRemote
    disk: SmallDisk
    prefect: subprocess.Popen[bytes]
    """The process whose child is Prefect's server."""
    proxy: PrefectProxy | None = None


@contextmanager
def open_arena(
    directory: Path, model_url: str, settings: Mapping[str, str], *, with_proxy: bool = False
) -> Iterator[Arena]:
    """Start it in `directory`, and end it at the end. Raises StageFailed."""
    directory.mkdir(parents=True, exist_ok=True)
    remote = SlowRemote(directory)
    disk = SmallDisk(directory / "stage" / "state")
    own = {
        "GIT_SSH_COMMAND": str(remote.program),
        "WORKSPACES": json.dumps({SLOW: {"remote": f"ssh://slow{directory}/stage/repository/origin.git"}}),
    }
    place, register = directory / "stage", write_register(directory, LIMIT)
    with ExitStack() as stack:
        stack.callback(disk.unmount)
        if not with_proxy:
            stage = stack.enter_context(set_stage(place, model_url, own | dict(settings), register))
            yield Arena(stage, remote, disk, stage.process)
            return
        prefect, url = stack.enter_context(_prefect(place, settings))
        proxy = stack.enter_context(PrefectProxy(int(url.rsplit(":", 1)[1])).serving())
        own |= {
            "PREFECT_API_URL": f"http://127.0.0.1:{proxy.port}/api",
            "PREFECT_API_AUTH_STRING": (place / "state" / "prefect" / "auth-string").read_text().strip(),
        }
        stage = stack.enter_context(set_stage(place, model_url, own | dict(settings), register))
        yield Arena(replace(stage, prefect_url=url), remote, disk, prefect, proxy)


@contextmanager
def _prefect(directory: Path, settings: Mapping[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Prefect's server alone, as an operator runs it for several hosts; started again when it is killed."""
    [port] = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment |= {"STATE_DIR": str(directory / "state"), "PREFECT_SERVER_API_PORT": str(port), **settings}
    with (directory / "prefect.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "up", "--only", "prefect", "--exit-with-parent"],
            env=environment,
            cwd=directory,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not _is_healthy(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise StageFailed(f"Prefect is not ready:\n{(directory / 'prefect.log').read_text()[-2000:]}")
            time.sleep(0.1)
        yield process, url
    finally:
        stop(process)


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/health", timeout=5).is_success
    except httpx.TransportError:
        return False


def write_register(directory: Path, limit: int | None = None) -> Path:
    """The demo's deployments as `prefect.yaml` in `directory`; nothing runs but what is asked for.

    With `limit`, that is the concurrency limit of jobs.
    """
    register = yaml.safe_load(REGISTER.read_text())
    for deployment in register["deployments"]:
        deployment.pop("schedules", None)
        deployment.pop("concurrency_limit", None)
        if limit is not None and deployment["name"] == "agent-run":
            deployment["concurrency_limit"] = limit
    path = directory / "prefect.yaml"
    path.write_text(yaml.safe_dump(register))
    return path
