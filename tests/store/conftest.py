"""A store on each database, and processes that share it."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from store.store import Store, open_store

Spawn = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of the test's own that nobody has opened yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/empty.sqlite3"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with its tables; the one on PostgreSQL is for all tests."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("shared_postgres_url"))
    shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "store.sqlite3")
    return f"sqlite:///{tmp_path}/store.sqlite3"


@pytest.fixture(scope="session")
def shared_postgres_url(postgres: PostgresServer) -> str:
    return migrated(postgres.new_database())


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "migrated.sqlite3"
    migrated(f"sqlite:///{path}")
    return path


def migrated(database_url: str) -> str:
    async def open_once() -> None:
        async with open_store(database_url):
            pass

    asyncio.run(open_once())
    return database_url


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    async with open_store(database_url) as opened:
        yield opened


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Run a program text in a process of its own."""
    children: list[subprocess.Popen[str]] = []

    def start(program: str, *args: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", program, *args],
            stdout=subprocess.PIPE,
            stdin=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()


class PostgresServer:
    """A server on loopback that forgets everything at the end."""

    def __init__(self, programs: Path, home: Path) -> None:
        self.home = home
        self.programs = programs
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def start(self) -> None:
        data = self.home / "data"
        self.run("initdb", "-D", data, "-U", "agents", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C")
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": 50,
        }
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        self.run("pg_ctl", "-D", data, "-w", "-l", self.home / "log", "-o", options, "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-D", self.home / "data", "-m", "immediate", "stop")

    def new_database(self) -> str:
        name = f"t{uuid4().hex}"
        self.run("createdb", "-h", "127.0.0.1", "-p", self.port, "-U", "agents", name)
        return f"postgresql://agents:secret@127.0.0.1:{self.port}/{name}"

    def run(self, program: str, *args: object) -> None:
        # the server refuses to be root
        user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*user, str(self.programs / program), *map(str, args)]
        subprocess.run(command, check=True, capture_output=True, cwd=self.home, timeout=60)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server, where its programs are installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [shutil.which("initdb")]
    if found[-1] is None:
        pytest.skip("needs PostgreSQL's initdb")
    home = Path(tempfile.mkdtemp(prefix="store-postgres-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(home, "postgres")
        server = PostgresServer(Path(found[-1]).parent, home)
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)
