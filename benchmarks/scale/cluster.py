"""Several hosts, each a process tree with a state directory and a port of its own, on one Prefect and one store."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from benchmarks.chaos.arena import write_register
from benchmarks.scale.prefect import Prefect, prefect
from benchmarks.scale.programs import child, postgresql, redis, wait_for
from demo.repository import create_repository
from demo.service import free_ports

LOST_AFTER_SECONDS = 90
CAPACITY = 2
DRAIN_SECONDS = 240.0


@dataclass
class Member:
    """One host: `agent-service up --only host`."""

    name: str
    directory: Path
    url: str
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    lives: ExitStack = field(default_factory=ExitStack)

    @property
    def state_dir(self) -> Path:
        """Everything that it writes."""
        return self.directory / "state"

    @property
    def host_id(self) -> str:
        """What its claims say."""
        return (self.state_dir / "host" / "id").read_text().strip()

    def begin(self) -> None:
        """Start it; `wait` tells when it is there."""
        command = [sys.executable, "-m", "cli.main", "up", "--only", "host"]
        log = self.directory / "host.log"
        self.process = self.lives.enter_context(child(command, log, self.environment, cwd=self.directory))

    def wait(self) -> None:
        """Return once it is ready; raises NotStarted."""
        assert self.process is not None
        wait_for(self._is_ready, self.process, self.name, self.directory / "host.log")

    def end(self) -> None:
        """As an operator does: what is at work may finish."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(DRAIN_SECONDS)

    def kill(self) -> None:
        """Gone, all of it at once, as when a machine loses its power."""
        assert self.process is not None
        parts = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        for part in parts:
            part.suspend()  # nobody hears of another's end before its own
        for part in parts:
            part.kill()
        self.process.wait()

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False


@dataclass
class Cluster:
    """All of it."""

    prefect: Prefect
    members: list[Member]
    token: str
    started_seconds: float


@contextmanager
def open_cluster(directory: Path, model_url: str, hosts: int) -> Iterator[Cluster]:
    """Start everything in `directory`, the hosts at the same moment, and end it at the end; raises NotStarted."""
    directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        databases = stack.enter_context(postgresql("prefect", "agents"))
        redis_url = stack.enter_context(redis())
        server = stack.enter_context(prefect(directory / "prefect", f"{databases}/prefect", redis_url))
        token = secrets.token_urlsafe(16)
        common = _environment(create_repository(directory / "repository"), server, f"{databases}/agents", model_url)
        members = [_member(directory, number, token, common) for number in range(hosts)]
        started = time.monotonic()
        for member in members:
            stack.enter_context(member.lives)
            member.begin()
        for member in members:
            member.wait()
        yield Cluster(server, members, token, time.monotonic() - started)


def _environment(origin: Path, server: Prefect, database_url: str, model_url: str) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return inherited | {
        "PREFECT_API_URL": f"{server.url}/api",
        "PREFECT_API_AUTH_STRING": server.auth,
        "DATABASE_URL": database_url,
        "WORKSPACE_DIR": str(origin),
        "ANTHROPIC_API_KEY": "offline",
        "ANTHROPIC_BASE_URL": model_url,
        "AGENT_CAPACITY": str(CAPACITY),
        "MAX_QUEUE_DEPTH": "10000",
        "LOST_AFTER_SECONDS": str(LOST_AFTER_SECONDS),
        "PYTHONUNBUFFERED": "1",
    }


def _member(directory: Path, number: int, token: str, common: dict[str, str]) -> Member:
    name = f"host {number + 1}"
    home = directory / f"host-{number + 1}"
    home.mkdir()
    write_register(home)
    port = free_ports(1)[0]
    own = {"STATE_DIR": str(home / "state"), "API_PORT": str(port), "API_BEARER_TOKEN": token}
    return Member(name, home, f"http://127.0.0.1:{port}", common | own)
