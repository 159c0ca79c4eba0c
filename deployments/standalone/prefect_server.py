"""The embedded Prefect server process."""

import argparse
import errno
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn
from urllib.parse import urlsplit

import httpx
import psutil
import uvicorn

from agent.system.http import http_origin
from deployments.standalone.prefect_environment import (
    auth_string,
    prefect_home,
    process_environment,
    server_environment,
)

PORT_IN_USE = 98
"""The exit status of a server whose port is taken: EADDRINUSE."""

_DRAIN_SECONDS = 3  # for requests under way; clients retry the rest
_STOP_SECONDS = 10.0  # then the server ends itself: SQLite's log makes an end at any point safe
_EXIT_SECONDS = 2.0  # after that, before it is killed
_LOG_TAIL_BYTES = 4096


class PrefectServerFailed(Exception):
    """The server process ended, or stopped working before it was ready; then `exit_status` is None."""

    def __init__(self, message: str, exit_status: int | None) -> None:
        super().__init__(message)
        self.exit_status = exit_status


class StartCancelled(Exception):
    """`is_cancelled` became true while the server was starting."""


class CannotListen(Exception):
    """This process cannot listen on the address; the message names the setting, and `remedy` says what to do."""

    def __init__(self, host: str, port: int, reason: str, remedy: str) -> None:
        self.reason = reason
        self.remedy = remedy
        super().__init__(f"cannot listen on {host}:{port}: {reason}; {remedy}")


class PortInUse(CannotListen):
    """Another program listens on the address."""

    def __init__(self, host: str, port: int, setting: str) -> None:
        super().__init__(host, port, "it is in use", f"set {setting} to another port")


@dataclass(frozen=True)
class PrefectServer:
    """A running server: address, password, process and log. `start_server` makes it."""

    api_url: str
    auth_string: str
    process: subprocess.Popen[bytes]
    log: Path


@contextmanager
def start_server(
    state_dir: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    inherited: Mapping[str, str] = os.environ,
    stall_seconds: float = 120.0,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[PrefectServer]:
    """Start a server, yield it once it is healthy, and end it afterwards; port 0 takes a free one.

    Blocks while it starts (5 seconds, minutes on a busy machine) and stops: from a loop, enter it in a thread. The
    server also ends with this process, even after SIGKILL. A start is given up once it has used no processor time for
    `stall_seconds`. Raises CannotListen, PrefectServerFailed and StartCancelled.
    """
    with listen(host, port) as listener:
        server = _spawn(state_dir, listener, host, inherited)
    try:
        _wait_until_healthy(server, stall_seconds, is_cancelled)
        yield server
    finally:
        _stop(server.process)


def listen(host: str, port: int, setting: str = "PREFECT_SERVER_API_PORT") -> socket.socket:
    """Return a socket that listens on `host` and `port`; `setting` is where the port is from. Raises CannotListen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(host, port, setting) from None
        by_root = error.errno == errno.EACCES
        remedy = f"set {setting} to 1024 or more" if by_root else f"correct {setting.replace('PORT', 'HOST')}"
        reason = (error.strerror or str(error)).partition(" (while")[0]  # Python adds the address once more
        raise CannotListen(host, port, reason, remedy) from None
    # Accepted sockets inherit it; asyncio sets it only on those it made itself, and an answer takes 40 ms without.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _spawn(state_dir: Path, listener: socket.socket, host: str, inherited: Mapping[str, str]) -> PrefectServer:
    port = listener.getsockname()[1]
    password = auth_string(state_dir, inherited)
    settings = server_environment(state_dir, host, port, password)
    home = prefect_home(state_dir)
    log = home / "server.log"
    if log.exists():
        log.replace(home / "server.log.1")  # it may say why the last server ended
    with log.open("ab") as output:  # it may be cut while it is written
        process = subprocess.Popen(
            # -P and `home`: neither code nor a prefect.toml of the caller's directory is picked up
            [sys.executable, "-P", "-m", "deployments.standalone.prefect_server", "--embedded", str(listener.fileno())],
            env=process_environment(settings, inherited),
            cwd=home,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[listener.fileno()],
            # a Ctrl-C in the terminal is for the parent, which then ends the server after its clients
            start_new_session=True,
        )
    return PrefectServer(f"{http_origin(host, port)}/api", password, process, log)


def _wait_until_healthy(server: PrefectServer, stall_seconds: float, is_cancelled: Callable[[], bool]) -> None:
    progress = _Progress(server.process.pid)
    with httpx.Client(trust_env=False, timeout=1.0) as client:
        while not _is_healthy(client, server.api_url):
            if is_cancelled():
                raise StartCancelled
            status = server.process.poll()
            if status is not None or progress.stalled_seconds() > stall_seconds:
                raise PrefectServerFailed(_failure(server, status, stall_seconds), status)
            time.sleep(0.05)


class _Progress:
    """The work of a starting process, by the processor time that it has used; made when it is started.

    On a busy machine a start takes minutes and still gets there: only one that does nothing will never be ready.
    """

    _STEP_SECONDS = 0.5  # an event loop that only waits uses less in two minutes

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._used = 0.0
        self._seen_at = time.monotonic()

    def stalled_seconds(self) -> float:
        """Return for how long the process has done nothing."""
        with suppress(psutil.Error):
            times = psutil.Process(self._pid).cpu_times()
            if times.user + times.system >= self._used + self._STEP_SECONDS:
                self._used, self._seen_at = times.user + times.system, time.monotonic()
        return time.monotonic() - self._seen_at


def _is_healthy(client: httpx.Client, api_url: str) -> bool:
    try:
        return client.get(f"{api_url}/health").is_success
    except httpx.TransportError:
        return False


def _failure(server: PrefectServer, status: int | None, seconds: float) -> str:
    what = f"is not ready and has done nothing for {seconds:.0f} s" if status is None else f"ended with status {status}"
    tail = server.log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip()
    return f"the Prefect server {what}; {server.log} ends with:\n{tail}"


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS + _EXIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        if process.stdin:
            process.stdin.close()


def main() -> NoReturn:
    """Serve until SIGTERM, SIGINT or, where embedded, the end of the parent; then exit with 0."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    options = _options()
    if options.embedded is None:
        listener = _listen_or_exit()
    else:
        listener = socket.socket(fileno=options.embedded)
        threading.Thread(target=_end_with_parent, name="parent watch", daemon=True).start()
    sys.exit(serve(listener))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deployments.standalone.prefect_server", description=__doc__)
    parser.add_argument(
        "--embedded",
        metavar="FD",
        type=int,
        help="serve on this listening socket, and end when standard input does",
    )
    return parser.parse_args()


def _listen_or_exit() -> socket.socket:
    host = os.environ.get("PREFECT_SERVER_API_HOST", "127.0.0.1")
    try:
        return listen(host, int(os.environ.get("PREFECT_SERVER_API_PORT", "4200")))
    except PortInUse as error:
        print(error, file=sys.stderr)
        sys.exit(PORT_IN_USE)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(0)


def _end_with_parent() -> None:
    # The parent holds the other end and never writes: this returns when it is gone, even by SIGKILL. Unlike
    # PR_SET_PDEATHSIG it does not mistake the end of the thread that started us for the end of the process.
    with suppress(OSError):
        os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)


def serve(listener: socket.socket) -> int:
    """Run Prefect's application on `listener` until a signal, and return an exit status."""
    config = uvicorn.Config(
        "deployments.standalone.prefect_app:create",
        factory=True,
        lifespan="on",
        log_level="warning",
        access_log=False,
        # longer than the 25 s that Prefect's clients keep a connection for another call
        timeout_keep_alive=60,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        headers=[("content-security-policy", _content_policy())],
    )
    gc.disable()  # nothing that is loaded here becomes garbage: saves a fifth of the start
    config.load()
    gc.freeze()
    gc.enable()
    server = _Server(config)
    server.run(sockets=[listener])
    return 0 if server.started else 1


def _content_policy() -> str:
    # The UI's analytics fetch remote settings even where analytics are off, and its block catalogue shows
    # images from other sites: a browser with this header sends nothing out.
    api = urlsplit(os.environ.get("PREFECT_SERVER_UI_API_URL", ""))
    api_origin = f" {api.scheme}://{api.netloc}" if api.netloc else ""
    return f"connect-src 'self'{api_origin}; img-src 'self' data: blob:; frame-ancestors 'self'"


class _Server(uvicorn.Server):
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        # a service of Prefect's may wait without a bound; SQLite's log makes an end at any point safe
        watchdog = threading.Timer(_STOP_SECONDS, os._exit, args=[1])
        watchdog.daemon = True
        watchdog.start()


if __name__ == "__main__":
    main()
