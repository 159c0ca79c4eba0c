"""Real parts, each started once: the offline model, and the whole service in processes of its own."""

from __future__ import annotations

import gc
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
import yaml
from together import (
    pytest_collection_modifyitems,
    pytest_configure_node,
    pytest_runtest_teardown,
    pytest_xdist_make_scheduler,
)
from waiting import is_alive

from benchmarks.chaos.arena import Arena, open_arena
from benchmarks.chaos.faults import wait_until_whole
from demo.offline_model.model import OfflineModel
from demo.service import REGISTER, Stage, set_stage

__all__ = [
    "pytest_collection_modifyitems",
    "pytest_configure_node",
    "pytest_runtest_teardown",
    "pytest_xdist_make_scheduler",
]


def pytest_configure() -> None:
    # a shell's job in the background ignores it, and so would all that the tests start
    signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.disable()  # nothing that is imported to find the tests is ever garbage: a sixth of the time


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


SELDOM = {"QUEUE_POLL_SECONDS": "3", "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "3"}


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def offline_model() -> Iterator[OfflineModel]:
    with OfflineModel() as model:
        yield model


@pytest.fixture(scope="session")
def flaky(tmp_path_factory: pytest.TempPathFactory) -> FlakyTransport:
    return FlakyTransport(tmp_path_factory.mktemp("flaky"))


@pytest.fixture(scope="session")
def stage(
    offline_model: OfflineModel, flaky: FlakyTransport, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """`agent-service up`, as an operator starts it: Prefect's server, a host, and the demo's repository.

    The schedules of its register are inactive, or an agent would work every ten seconds beside the tests; and what
    looks for work each second looks every three, which is half of what a service costs that has nothing to do.
    """
    directory = tmp_path_factory.mktemp("stage")
    settings = {
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5",  # a schedule that is switched on is seen that late
        **SELDOM,
        "AGENT_CAPACITY": "3",
        "AGENT_WARM": "0",  # each process is a second of the suite's time
        "AGENT_MODEL_RETRIES": "1",
        "GIT_SSH_COMMAND": str(flaky.program),
        "WORKSPACES": json.dumps({"flaky": {"remote": f"ssh://flaky{directory}/repository/origin.git"}}),
    }
    register = directory.with_name(f"{directory.name}-register.yaml")
    register.write_text(_for_tests(REGISTER.read_text()))
    with set_stage(directory, offline_model.url, settings, register) as stage:
        yield stage


def _for_tests(register: str) -> str:
    content = yaml.safe_load(register)
    for deployment in content["deployments"]:
        for schedule in deployment.get("schedules", []):
            schedule["active"] = False
        if deployment["name"] == "inbox":
            deployment["parameters"]["request"]["source"]["pattern"] = "0[16]*"  # two of the eight
    return str(yaml.safe_dump(content))


@pytest.fixture(scope="session")
def arena(offline_model: OfflineModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """A service that may be hurt, with room for one agent; a Ctrl-C in its terminal ends every process in order."""
    settings = {"AGENT_CAPACITY": "1", "AGENT_WARM": "0", "TRIAGE_LEASE_SECONDS": "2", **SELDOM}
    with open_arena(tmp_path_factory.mktemp("arena"), offline_model.url, settings) as arena:
        yield arena
        process = arena.stage.process
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 2
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 0
        assert [one for one in family if is_alive(one)] == []


@pytest.fixture
async def victim(arena: Arena, offline_model: OfflineModel) -> AsyncIterator[Service]:
    """The service that may be hurt, once it is whole."""
    offline_model.reset()
    await wait_until_whole(arena.stage)
    headers = {"Authorization": f"Bearer {arena.stage.token}"}
    async with httpx.AsyncClient(base_url=arena.stage.url, headers=headers, timeout=60, verify=False) as client:
        yield Service(arena.stage, offline_model, client)


class FlakyTransport:
    """What git takes for ssh: it serves repositories of this machine, and fails as often as it is told to."""

    def __init__(self, directory: Path) -> None:
        self._failures = directory / "failures"
        self._delay = directory / "delay"
        self.program = directory / "ssh"
        self.fail(0)
        self.delay(0)
        self.program.write_text(
            "#!/bin/sh\n"
            f"left=$(cat {self._failures})\n"
            f'[ "$left" -gt 0 ] && {{ echo $((left - 1)) > {self._failures}; echo no route to host >&2; exit 255; }}\n'
            f"sleep $(cat {self._delay})\n"
            "for command; do :; done\n"
            'exec sh -c "$command"\n'
        )
        self.program.chmod(0o700)

    def fail(self, times: int) -> None:
        """Fail the next so many connections."""
        self._failures.write_text(f"{times}\n")

    def delay(self, seconds: float) -> None:
        """Answer the next connections so much later."""
        self._delay.write_text(f"{seconds}\n")


@dataclass
class Service:
    """The running service as a caller sees it."""

    stage: Stage
    model: OfflineModel
    client: httpx.AsyncClient

    @property
    def url(self) -> str:
        return self.stage.url

    @property
    def token(self) -> str:
        return self.stage.token

    def prefect(self) -> httpx.AsyncClient:
        """Prefect's own API, with its password."""
        user, password = self.stage.prefect_auth.split(":", 1)
        return httpx.AsyncClient(
            base_url=f"{self.stage.prefect_url}/api", auth=(user, password), timeout=30, verify=False
        )


@pytest.fixture
async def service(stage: Stage, offline_model: OfflineModel) -> AsyncIterator[Service]:
    offline_model.reset()
    headers = {"Authorization": f"Bearer {stage.token}"}
    # nothing here is asked over TLS, and to read the world's certificates for it takes a client 25 ms
    async with httpx.AsyncClient(base_url=stage.url, headers=headers, timeout=60, verify=False) as client:
        yield Service(stage, offline_model, client)
