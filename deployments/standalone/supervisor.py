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
from agent.system.ownership import HOST_LOCK, OTHER_STATE_DIR, PREFECT_LOCK, check_free, owning
from agent.system.proxies import proxy_environment
from deployments.standalone.external_prefect import check_external_prefect, read_api_url
from deployments.standalone.prefect_environment import (
    STORAGE_BLOCK,
    client_environment,
    fixed_client_environment,
    prefect_home,
    shared_environment,
    with_defaults,
)
from deployments.standalone.prefect_server import (
    CannotListen,
    PrefectServer,
    PrefectServerFailed,
    StartCancelled,
    start_server,
)
from deployments.standalone.preflight import prefect_port
from deployments.standalone.wait_notice import waiting_for

Part = Literal["prefect", "host"]

CANNOT_START = 2
"""The exit status of a host that would fail again in the same way."""

NEVER_READY = 1
"""The exit status of a host that an unexpected error ended before it was ready; an import that fails has it, too."""

# -P: a directory named `api` or `agent` where `up` is called is not taken for ours
_HOST = ("-P", "-m", "api")
_MAX_FAILED_STARTS = 5  # an error that a restart mends is gone by then: it takes 15 seconds of pauses
_POLL_SECONDS = 0.1
_MAX_PAUSE_SECONDS = 30.0
_STEADY_SECONDS = 15.0  # a host that ran for so long starts again after the shortest pause


class Supervisor:
    """Keeps the parts of one service running until a signal; restarts a part that dies, with growing pauses."""

    def __init__(
        self,
        state_dir: Path,
        environment: Mapping[str, str],
        only: Part | None,
        for_server: Mapping[str, str],
    ) -> None:
        self._state_dir = state_dir
        self._api_url = read_api_url(environment)
        self._environment = {**environment, **proxy_environment(environment)}
        self._server_environment = {**for_server, **self._environment}
        self._runs_prefect = only != "host" and self._api_url is None
        self._runs_host = only != "prefect"
        self._stops = 0
        self._stack = ExitStack()
        self._server: PrefectServer | None = None
        self._host: subprocess.Popen[bytes] | None = None
        self._host_started_at = 0.0
        self._pause_seconds = 1.0
        self._failed_starts = 0

    def run(self) -> int:
        """Run the parts and return the exit status.

        Raises NotConfigured, CannotListen and PrefectServerFailed at the start.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        with self._stack:
            self._own_state_dir()
            try:
                if self._runs_prefect:
                    self._start_server(prefect_port(self._environment))
                if self._runs_host and not self._stops:
                    self._start_host()
                return self._watch()
            except StartCancelled:
                return 0
            finally:
                self._end_host()

    def _own_state_dir(self) -> None:
        if self._runs_host:
            # the host locks it itself; a second one is refused before Prefect's server starts for it
            check_free(self._state_dir / HOST_LOCK, OTHER_STATE_DIR, self._is_stopped)
        if self._runs_prefect:
            self._stack.enter_context(owning(self._state_dir / PREFECT_LOCK, OTHER_STATE_DIR, self._is_stopped))

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stops += 1
        if self._host is not None and self._host.poll() is None:
            self._host.send_signal(signal.SIGTERM)

    def _start_server(self, port: int) -> None:
        host = self._environment.get("PREFECT_SERVER_API_HOST") or "127.0.0.1"
        with waiting_for("prefect", f"its server; {prefect_home(self._state_dir) / 'server.log'} has details"):
            server = self._stack.enter_context(
                start_server(
                    self._state_dir,
                    host=host,
                    port=port,
                    inherited=self._server_environment,
                    is_cancelled=self._is_stopped,
                )
            )
        print(f"prefect ready: {server.api_url.removesuffix('/api')}", flush=True)
        self._server = server

    def _is_stopped(self) -> bool:
        # a host at work finishes its runs first, and records them in Prefect
        return self._stops > 0 and (self._host is None or self._host.poll() is not None)

    def _start_host(self) -> None:
        if self._api_url is not None:
            check_external_prefect(self._api_url, self._environment)
        self._host_started_at = time.monotonic()
        self._host = subprocess.Popen(
            [sys.executable, *_HOST],
            env=self._host_environment(),
            # Ctrl-C in a terminal goes to us; the host gets one SIGTERM.
            start_new_session=True,
        )

    def _host_environment(self) -> dict[str, str]:
        home = prefect_home(self._state_dir)
        own = {"STATE_DIR": str(self._state_dir)}
        if self._server is None:
            home.mkdir(parents=True, exist_ok=True)  # Prefect creates only the last directory itself
            server = {"PREFECT_API_URL": self._api_url} if self._api_url else {}
            return with_defaults(shared_environment(home), self._environment) | server | own
        url, password = self._server.api_url, self._server.auth_string
        defaults = client_environment(url, password, home, STORAGE_BLOCK, self._environment) | {
            # its host comes back with this process; on SQLite the automation would overload a busy server
            "END_LOST_RUNS": "false",
        }
        fixed = fixed_client_environment(url, password, home)
        return with_defaults(defaults, self._environment) | fixed | own

    def _watch(self) -> int:
        while not self._stops:
            if self._server is not None and self._server.process.poll() is not None:
                print(f"prefect ended ({self._server.process.returncode}); starting it again", flush=True)
                self._restart_server(self._port_of(self._server))
            if self._host is not None and (status := self._host.poll()) is not None:
                if self._is_hopeless(status):
                    return status
                self._restart_host(status)
            time.sleep(_POLL_SECONDS)
        return self._host.wait() if self._host is not None else 0

    def _restart_server(self, port: int) -> None:
        """Start the server again until it is healthy: the host and its agents go on meanwhile."""
        pause_seconds = 1.0
        while not self._stops:
            try:
                self._start_server(port)
                return
            except (CannotListen, PrefectServerFailed, OSError) as error:
                print(f"prefect could not be started: {error}; again in {pause_seconds:.0f} s", flush=True)
            self._pause(pause_seconds)
            pause_seconds = min(pause_seconds * 2, _MAX_PAUSE_SECONDS)

    def _is_hopeless(self, status: int) -> bool:
        self._failed_starts = self._failed_starts + 1 if status == NEVER_READY else 0
        if self._failed_starts < _MAX_FAILED_STARTS:
            return status == CANNOT_START
        print(f"host ended {self._failed_starts} times before it was ready; not starting it again", flush=True)
        return True

    def _restart_host(self, status: int) -> None:
        """Start the host again, after a pause that doubles each time it did not run for long."""
        if time.monotonic() - self._host_started_at > _STEADY_SECONDS:
            self._pause_seconds = 1.0
        print(f"host ended ({status}); starting it again in {self._pause_seconds:.0f} s", flush=True)
        self._pause(self._pause_seconds)
        self._pause_seconds = min(self._pause_seconds * 2, _MAX_PAUSE_SECONDS)
        if not self._stops:
            self._start_host()

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._stops:
            time.sleep(_POLL_SECONDS)

    def _end_host(self) -> None:
        if self._host is not None and self._host.poll() is None:
            self._host.kill()
            self._host.wait()

    @staticmethod
    def _port_of(server: PrefectServer) -> int:
        return int(server.api_url.rsplit(":", 1)[1].split("/", 1)[0])


def supervise(state_dir: Path, only: Part | None = None, for_server: Mapping[str, str] = MappingProxyType({})) -> int:
    """Run all parts, or the one named by `only`, with this process's environment.

    The Prefect server also gets `for_server`; the environment wins over it.

    Raises NotConfigured, CannotListen and PrefectServerFailed at the start.
    """
    if only == "host" and not os.environ.get("PREFECT_API_URL"):
        raise NotConfigured("--only host needs a Prefect server of yours: set PREFECT_API_URL to its address")
    return Supervisor(state_dir, os.environ, only, for_server).run()
