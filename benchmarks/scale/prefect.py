"""Prefect's server as it is run past one machine: an API and the services, on PostgreSQL and Redis."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.scale.programs import child, wait_for
from demo.service import free_ports

SETTINGS = Path(__file__).parents[2] / "deployments" / "docker" / "prefect.env"
"""What the compose file and the Kubernetes manifests give to Prefect's servers."""


@dataclass(frozen=True)
class Prefect:
    """Where it is, and how to get in."""

    url: str
    auth: str

    def client(self) -> httpx.AsyncClient:
        """Of its API."""
        user, password = self.auth.split(":", 1)
        return httpx.AsyncClient(base_url=f"{self.url}/api", auth=(user, password), timeout=60)


@contextmanager
def prefect(directory: Path, database_url: str, redis_url: str) -> Iterator[Prefect]:
    """A server, ended with its processes at the end; raises NotStarted."""
    directory.mkdir(parents=True)
    server = Prefect(f"http://127.0.0.1:{free_ports(1)[0]}", "admin:scale")
    environment = _environment(directory, server, database_url, redis_url)
    command = [sys.executable, "-P", "-m", "prefect", "server"]
    log = directory / "api.log"
    port = server.url.rpartition(":")[2]
    with child([*command, "start", "--no-services", "--port", port], log, environment, cwd=directory) as process:
        wait_for(lambda: _is_healthy(server), process, "Prefect's API", log)
        # only now: two that migrate a fresh database at once are in each other's way
        with child([*command, "services", "start"], directory / "services.log", environment, cwd=directory):
            yield server


def _environment(directory: Path, server: Prefect, database_url: str, redis_url: str) -> dict[str, str]:
    lines = [line for line in SETTINGS.read_text().splitlines() if line and not line.startswith("#")]
    inherited = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return (
        inherited
        | dict(line.split("=", 1) for line in lines)
        | {
            "HOME": str(directory),
            "PREFECT_HOME": str(directory),
            "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(directory / "ui"),
            "PREFECT_SERVER_API_AUTH_STRING": server.auth,
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": database_url.replace("postgresql:", "postgresql+asyncpg:"),
            "PREFECT_REDIS_MESSAGING_URL": redis_url,
            "PREFECT_REDIS_WORKER_CLEANUP_QUEUE_URL": redis_url,
            "PREFECT_SERVER_DOCKET_URL": redis_url,
        }
    )


def _is_healthy(server: Prefect) -> bool:
    try:
        return httpx.get(f"{server.url}/api/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False
