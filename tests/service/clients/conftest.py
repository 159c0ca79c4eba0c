"""What all clients share: how they are imported, what they are told, and the table of what each of them can."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest
from matrix import Matrix

from demo.offline_model.model import OfflineModel
from demo.service import Stage

# read by the packages when they are imported: nothing of theirs may ask the internet
OFFLINE = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LANGSMITH_TRACING": "false",
    "LANGCHAIN_TRACING_V2": "false",
    "DO_NOT_TRACK": "1",
}

Script = Callable[..., str]
Importer = Callable[[str], ModuleType]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--clients-table", type=Path, help="Write what each client can into this file.")
    parser.addoption("--thorough", action="store_true", help="Have schemathesis try all it can think of.")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "client(name): the client that a test uses, as the table names it")
    config.addinivalue_line("markers", "shows(feature): what a test shows, a column of the table")
    path = config.getoption("--clients-table", default=None)
    if path is not None:
        config.pluginmanager.register(Matrix(path))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        properties = {name: item.get_closest_marker(name) for name in ("client", "shows")}
        item.user_properties += [(name, marker.args[0]) for name, marker in properties.items() if marker]
        if properties["client"]:
            # what the packages of others warn of is their own business
            item.add_marker(pytest.mark.filterwarnings("ignore"))


@pytest.fixture
def thorough(pytestconfig: pytest.Config) -> bool:
    """Whether there is time."""
    return bool(pytestconfig.getoption("--thorough", default=False))


@pytest.fixture
def imported() -> Importer:
    """Imports a client's package, and skips where it is not installed; what it warns of is its own business."""

    def imported(name: str) -> ModuleType:
        os.environ.update(OFFLINE)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return importlib.import_module(name)
            except ModuleNotFoundError as error:
                pytest.skip(f"{error.name} is not installed: make install brings the Python clients")

    return imported


@pytest.fixture
def script() -> Script:
    """A prompt that tells the offline model what to do; each is another."""

    def script(*steps: dict[str, Any]) -> str:
        return f"{uuid4()} offline-model: {json.dumps(steps)}"

    return script


@pytest.fixture
def runs_of(offline_model: OfflineModel) -> Callable[[str], int]:
    """How many agents were told a prompt."""

    def runs_of(prompt: str) -> int:
        told = [one for one in offline_model.message_requests if prompt in one.conversation.prompt]
        return len({one.headers["x-claude-code-session-id"] for one in told})

    return runs_of


@pytest.fixture
def run_program(stage: Stage, record_property: Callable[[str, object], None]) -> Callable[..., dict[str, Any]]:
    """Runs a client that is a program of its own, and gives what it has found."""

    def run_program(*command: str | Path) -> dict[str, Any]:
        environment = {"PATH": os.environ["PATH"], "BASE_URL": f"{stage.url}/v1", "API_KEY": stage.token, **OFFLINE}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        found: dict[str, Any] = json.loads(done.stdout)
        record_property("version", found["version"])
        return found

    return run_program


@pytest.fixture
def instructor_python() -> Path:
    """The interpreter that has instructor: it wants older versions than the rest, so it has a venv of its own."""
    python = Path(sys.prefix) / "instructor" / "bin" / "python"
    if not python.exists():
        pytest.skip("instructor is not installed: make clients brings it")
    return python
