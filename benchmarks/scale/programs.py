"""PostgreSQL and Redis as child processes on loopback, in a directory that is gone afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from demo.service import free_ports

START_SECONDS = 300.0
STOP_SECONDS = 20.0


class NotStarted(Exception):
    """A program is missing, or did not come up; the message says which, and what it said."""


def missing_programs() -> list[str]:
    """The programs that are needed and not installed, by their Debian packages."""
    wanted = {"postgresql": _postgres_programs(), "redis-server": shutil.which("redis-server")}
    return [package for package, found in wanted.items() if found is None]


@contextmanager
def child(
    command: list[str], log: Path, environment: Mapping[str, str] | None = None, **options: object
) -> Iterator[subprocess.Popen[bytes]]:
    """The command as a process that ends with this one, however that ends; asked to at the end."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **options,  # type: ignore[call-overload]
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(claim: Callable[[], bool], process: subprocess.Popen[bytes], what: str, log: Path) -> None:
    """Return once it is true; raises NotStarted if the process ends, or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if claim():
            return
        time.sleep(0.05)
    raise NotStarted(f"{what} is not up; it said last:\n{log.read_text(errors='replace')[-2000:]}")


@contextmanager
def redis() -> Iterator[str]:
    """A server without persistence; gives its URL."""
    with tempfile.TemporaryDirectory(prefix="scale-redis-") as home:
        port, log = free_ports(1)[0], Path(home, "log")
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", home, "--save", ""]
        with child(command, log) as process:
            wait_for(lambda: _answers(port, b"PING\r\n", b"+PONG"), process, "redis-server", log)
            yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def postgresql(*databases: str) -> Iterator[str]:
    """A server with these databases; gives its URL, to which a database's name is added."""
    programs = _postgres_programs()
    if programs is None:
        raise NotStarted("PostgreSQL is not installed: apt install postgresql")
    home = Path(tempfile.mkdtemp(prefix="scale-postgresql-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(home, "postgres")
        port, log = free_ports(1)[0], home / "log"
        _run(
            programs / "initdb",
            "-D",
            home / "data",
            "-U",
            "agents",
            "--auth=trust",
            "--no-sync",
            "--locale=C",
            "-E",
            "UTF8",
        )
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": port, "fsync": "off"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command = [*_as_postgres(), str(programs / "postgres"), "-D", str(home / "data"), *options]
        with child(command, log, cwd=home) as process:
            ready = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
            wait_for(lambda: subprocess.run(ready, check=False).returncode == 0, process, "postgres", log)
            for database in databases:
                _run(programs / "createdb", "-h", "127.0.0.1", "-p", port, "-U", "agents", database)
            yield f"postgresql://agents:unused@127.0.0.1:{port}"
            process.send_signal(signal.SIGINT)  # does not wait for its clients
            process.wait(STOP_SECONDS)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _postgres_programs() -> Path | None:
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[4]))
    found = str(installed[-1]) if installed else shutil.which("initdb")
    return Path(found).parent if found else None


def _as_postgres() -> list[str]:
    """The server refuses to be root."""
    own = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--pdeathsig", "TERM"]
    return own if os.geteuid() == 0 else []


def _run(program: Path, *arguments: object) -> None:
    command = [*_as_postgres(), str(program), *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, cwd="/", timeout=START_SECONDS, text=True)
    if done.returncode:
        raise NotStarted(f"{program.name} failed: {done.stderr.strip()}")


def _answers(port: int, question: bytes, answer: bytes) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
        connection.sendall(question)
        return connection.recv(100).startswith(answer)
    return False
