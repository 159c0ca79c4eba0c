"""One engine, the images, and the offline model in a container of its own, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from engine import FILES, IMAGE, ROOT, Engine, make_base, open_engine

from demo.repository import create_repository

NETWORK, MODEL, MODEL_PORT = "agent-service-test", "agent-service-test-model", 9000
_RELAY = f"""
import socket, threading
def copy(a, b):
    while data := a.recv(65536): b.sendall(data)
    b.shutdown(socket.SHUT_WR)
def serve(client):
    model = socket.create_connection(("127.0.0.1", {MODEL_PORT + 1}))
    threading.Thread(target=copy, args=(client, model), daemon=True).start()
    copy(model, client)
listener = socket.create_server(("", {MODEL_PORT}))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""
"""The offline model listens on loopback alone: this lets other containers reach it."""


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    with open_engine() as engine:
        yield engine


@pytest.fixture(scope="session")
def image(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The service's image, built as docs/deploying.md has it."""
    make_base(engine, tmp_path_factory.mktemp("base"))
    engine.build(FILES / "docker" / "Dockerfile", IMAGE, ROOT)
    return IMAGE


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the demo's remote, for any user of a container to read and to push to."""
    directory = tmp_path_factory.mktemp("shared")
    origin = create_repository(directory / "repository")
    for path in (directory, origin.parent, origin, *origin.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    for parent in directory.parents:
        if parent.stat().st_uid == directory.stat().st_uid and len(parent.parts) > 2:
            parent.chmod(parent.stat().st_mode | 0o055)
    return origin.parent


@pytest.fixture(scope="session")
def network(engine: Engine, image: str) -> Iterator[str]:
    """A network with the offline model in it; gives the network's name."""
    engine.run("network", "create", NETWORK, check=False)
    script = f"python -m demo.offline_model.model --port {MODEL_PORT + 1} & exec python -c '{_RELAY}'"
    words = ["--network", NETWORK, "--entrypoint", "sh", image, "-c", script]
    try:
        with engine.container(MODEL, *words):
            yield NETWORK
    finally:
        engine.run("network", "rm", NETWORK, check=False)


@pytest.fixture(scope="session")
def model_url() -> str:
    return f"http://{MODEL}:{MODEL_PORT}"
