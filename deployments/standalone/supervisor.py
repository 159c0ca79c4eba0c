"""Runs the embedded Prefect server and the host, and stops them together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Literal

from agent.domain.errors import NotConfigured
from deployments.standalone.prefect_environment import (
    STORAGE_BLOCK,
    client_environment,
    prefect_home,
    shared_environment,
)
from deployments.standalone.prefect_server import PrefectServer, listen, start_server
from deployments.standalone.wait_notice import waiting_for

Part = Literal["prefect", "host"]
Address = tuple[str, int]

CANNOT_START = 2
"""The exit status of a host that would fail again in the same way."""

_NO_PROXY = ("no_proxy", "NO_PROXY")
_POLL_SECONDS = 0.1
_MAX_PAUSE_SECONDS = 30.0
_STEADY_SECONDS = 15.0  # a host that ran for so long starts again after the shortest pause


class Supervisor:
    """Keeps the parts of one service running until a signal; restarts a part that dies, with growing pauses."""

    def __init__(
        self,
        state_dir: Path,
        api: Address,
        environment: Mapping[str, str],
        only: Part | None,
        for_server: Mapping[str, str],
    ) -> None:
        self._state_dir = state_dir
        self._api = api
        self._environment = dict(environment)
        self._server_environment = {**for_server, **environment}
        self._runs_prefect = only != "host" and "PREFECT_API_URL" not in environment
        self._runs_host = only != "prefect"
        self._stops = 0
        self._stack = ExitStack()
        self._server: PrefectServer | None = None
        self._host: subprocess.Popen[bytes] | None = None
        self._host_started_at = 0.0
        self._pause_seconds = 1.0

    def run(self) -> int:
        """Run the parts and return the exit status. Raises PortInUse and PrefectServerFailed at the start."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        if self._runs_host:
            # a port in use is reported within a second, before Prefect's server starts
            listen(*self._api, "API_PORT").close()
        with self._stack:
            if self._runs_prefect:
                self._start_server(self._prefect_port())
            if self._runs_host:
                self._start_host()
            try:
                return self._watch()
            finally:
                self._end_host()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stops += 1
        if self._host is not None and self._host.poll() is None:
            self._host.send_signal(signal.SIGTERM)

    def _prefect_port(self) -> int:
        return int(self._environment.get("PREFECT_SERVER_API_PORT", "4200"))

    def _start_server(self, port: int) -> None:
        with waiting_for("prefect", f"its server; {prefect_home(self._state_dir) / 'server.log'} has details"):
            server = self._stack.enter_context(
                start_server(self._state_dir, port=port, inherited=self._server_environment)
            )
        print(f"prefect ready: {server.api_url.removesuffix('/api')}", flush=True)
        self._server = server

    def _start_host(self) -> None:
        self._host_started_at = time.monotonic()
        self._host = subprocess.Popen(
            [sys.executable, "-m", "api"],
            env=self._host_environment(),
            # Ctrl-C in a terminal goes to us; the host gets one SIGTERM.
            start_new_session=True,
        )

    def _host_environment(self) -> dict[str, str]:
        home = prefect_home(self._state_dir)
        if self._server is None:
            home.mkdir(parents=True, exist_ok=True)  # Prefect creates only the last directory itself
            return shared_environment(home) | self._environment
        clients = client_environment(self._server.api_url, self._server.auth_string, home, STORAGE_BLOCK)
        # Prefect's client would use a proxy for loopback, too.
        direct = {name: f"{self._environment.get(name, '')},127.0.0.1,localhost".lstrip(",") for name in _NO_PROXY}
        own = {"STATE_DIR": str(self._state_dir)}
        # its host comes back with this process; on SQLite the automation would overload a busy server
        return {"END_LOST_RUNS": "false"} | self._environment | clients | direct | own

    def _watch(self) -> int:
        while not self._stops:
            if self._server is not None and self._server.process.poll() is not None:
                print(f"prefect ended ({self._server.process.returncode}); starting it again", flush=True)
                self._start_server(self._port_of(self._server))
            if self._host is not None and (status := self._host.poll()) is not None:
                if status == CANNOT_START:
                    return status
                self._restart_host(status)
            time.sleep(_POLL_SECONDS)
        return self._host.wait() if self._host is not None else 0

    def _restart_host(self, status: int) -> None:
        """Start the host again, after a pause that doubles each time it did not run for long."""
        if time.monotonic() - self._host_started_at > _STEADY_SECONDS:
            self._pause_seconds = 1.0
        print(f"host ended ({status}); starting it again in {self._pause_seconds:.0f} s", flush=True)
        until = time.monotonic() + self._pause_seconds
        self._pause_seconds = min(self._pause_seconds * 2, _MAX_PAUSE_SECONDS)
        while time.monotonic() < until and not self._stops:
            time.sleep(_POLL_SECONDS)
        if not self._stops:
            self._start_host()

    def _end_host(self) -> None:
        if self._host is not None and self._host.poll() is None:
            self._host.kill()
            self._host.wait()

    @staticmethod
    def _port_of(server: PrefectServer) -> int:
        return int(server.api_url.rsplit(":", 1)[1].split("/", 1)[0])


def supervise(
    state_dir: Path, api: Address, only: Part | None = None, for_server: Mapping[str, str] = MappingProxyType({})
) -> int:
    """Run all parts, or the one named by `only`, with this process's environment; the host listens on `api`.

    The Prefect server also gets `for_server`; the environment wins over it.

    Raises NotConfigured, PortInUse and PrefectServerFailed at the start.
    """
    if only == "host" and "PREFECT_API_URL" not in os.environ:
        raise NotConfigured("--only host needs a Prefect server of yours: set PREFECT_API_URL to its address")
    return Supervisor(state_dir, api, os.environ, only, for_server).run()
