"""The whole service on loopback, set up from nothing: a repository, a model, a state directory, free ports."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from demo.repository import create_repository

READY_SECONDS = 240.0
REGISTER = Path(__file__).parent / "prefect.yaml"
_STOP_SECONDS = 30.0


class StageFailed(Exception):
    """The service did not come up; the message has what it said last."""


@dataclass(frozen=True)
class Stage:
    """A running service: where it is, and how to get in."""

    url: str
    token: str
    prefect_url: str
    directory: Path
    origin: Path
    process: subprocess.Popen[bytes]

    @property
    def state_dir(self) -> Path:
        """Everything that the service writes."""
        return self.directory / "state"

    @property
    def prefect_auth(self) -> str:
        """What Prefect's UI and API ask for."""
        return (self.state_dir / "prefect" / "auth-string").read_text().strip()

    def log(self) -> str:
        """What the service has said so far."""
        return (self.directory / "service.log").read_text(errors="replace")


@contextmanager
def set_stage(
    directory: Path, model_url: str, settings: Mapping[str, str] | None = None, register: Path | None = None
) -> Iterator[Stage]:
    """A service that runs the real CLI against the model at `model_url`; ended, with all of its processes, at the end.

    Raises StageFailed.
    """
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copy(register or REGISTER, directory / "prefect.yaml")
    origin = create_repository(directory / "repository")
    api_port, prefect_port = free_ports(2)
    token = secrets.token_urlsafe(16)
    environment = _environment(directory, model_url, origin, token, api_port, prefect_port) | dict(settings or {})
    with (directory / "service.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "up", "--exit-with-parent"],
            env=environment,
            cwd=directory,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    stage = Stage(
        url=f"http://127.0.0.1:{api_port}",
        token=token,
        prefect_url=f"http://127.0.0.1:{prefect_port}",
        directory=directory,
        origin=origin,
        process=process,
    )
    try:
        _wait_until_ready(stage)
        yield stage
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> int:
    """End the service as an operator does, in a hurry after a while; gives its exit status."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
    try:
        return process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nothing listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _environment(
    directory: Path, model_url: str, origin: Path, token: str, api_port: int, prefect_port: int
) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return inherited | {
        "STATE_DIR": str(directory / "state"),
        "WORKSPACE_DIR": str(origin),
        "API_PORT": str(api_port),
        "API_BEARER_TOKEN": token,
        "PREFECT_SERVER_API_PORT": str(prefect_port),
        "ANTHROPIC_API_KEY": "offline",
        "ANTHROPIC_BASE_URL": model_url,
        "FETCH_DEBOUNCE_SECONDS": "0",
        "PYTHONUNBUFFERED": "1",
    }


def _wait_until_ready(stage: Stage) -> None:
    deadline = time.monotonic() + READY_SECONDS
    with httpx.Client(base_url=stage.url) as client:
        while time.monotonic() < deadline:
            if stage.process.poll() is not None:
                break
            if _is_ready(client):
                return
            time.sleep(0.05)
    raise StageFailed(f"the service is not ready; it said last:\n{stage.log()[-2000:]}")


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/ready").status_code == 200
    except httpx.TransportError:
        return False
