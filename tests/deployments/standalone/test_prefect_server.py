"""The embedded Prefect server: who gets in, what it bears, and that it ends."""

import asyncio
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prefect import flow, task
from prefect.settings import get_current_settings, temporary_settings
from prefect_rest import PrefectRest, held_clients
from waiting import is_alive

from deployments.registration.storage_block import save_storage_block
from deployments.standalone.prefect_server import (
    PORT_IN_USE,
    PortInUse,
    PrefectServer,
    PrefectServerFailed,
    start_server,
)

AT_ONCE = 16
PATIENCE_SECONDS = 45.0

START = """
import sys
from pathlib import Path
from deployments.standalone.prefect_server import start_server
with start_server(Path(sys.argv[1])):
    raise AssertionError("it was not killed")
"""


@task
async def double(number: int) -> int:
    return 2 * number


@flow
async def eightfold(number: int) -> int:
    return await double(await double(await double(number)))


def wait_until(is_true: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


async def wait_until_async(is_true: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not await is_true():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.1)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """How often each status was answered, before Prefect's client hides a 503 by trying again."""
    counted: Counter[int] = Counter()
    send = httpx.AsyncClient.send

    async def counting_send(self: httpx.AsyncClient, *args: Any, **options: Any) -> httpx.Response:
        response = await send(self, *args, **options)
        counted[response.status_code] += 1
        return response

    monkeypatch.setattr(httpx.AsyncClient, "send", counting_send)
    return counted


def get(server: PrefectServer, path: str, **options: Any) -> httpx.Response:
    root = server.api_url.removesuffix("/api")
    return httpx.get(f"{root}{path}", trust_env=False, timeout=PATIENCE_SECONDS, **options)


def password(server: PrefectServer) -> tuple[str, str]:
    user, secret = server.auth_string.split(":", 1)
    return user, secret


def test_health_is_answered_without_the_password(prefect_server: PrefectServer) -> None:
    assert get(prefect_server, "/api/health").json() is True


def test_all_else_wants_the_password(prefect_server: PrefectServer) -> None:
    assert get(prefect_server, "/api/admin/version").status_code == 401
    assert get(prefect_server, "/api/admin/version", auth=("admin", "wrong")).status_code == 401
    assert get(prefect_server, "/api/admin/version", auth=password(prefect_server)).json() == "3.8.8"


def test_the_ui_is_served_and_may_talk_to_nobody_else(prefect_server: PrefectServer) -> None:
    page = get(prefect_server, "/v2/", headers={"accept": "text/html"})
    assert "<title>Prefect Server</title>" in page.text
    assert page.headers["content-security-policy"].startswith("connect-src 'self'; img-src 'self'")
    settings = get(prefect_server, "/ui-settings").json()
    assert (settings["api_url"], settings["auth"]) == ("/api", "BASIC")


def test_the_server_reports_to_nobody(prefect_server: PrefectServer) -> None:
    settings = get(prefect_server, "/api/admin/settings", auth=password(prefect_server)).json()
    assert settings["server"]["analytics_enabled"] is False
    views = get(prefect_server, "/api/collections/views/aggregate-worker-metadata", auth=password(prefect_server))
    assert "prefect" in views.json()
    peers = psutil.Process(prefect_server.process.pid).net_connections("inet")
    assert {peer.raddr.ip for peer in peers if peer.raddr} <= {"127.0.0.1"}


@pytest.mark.usefixtures("prefect_settings")
async def test_sixteen_runs_at_once_are_all_recorded_and_none_is_told_to_come_back(
    answers: Counter[int], rest: PrefectRest
) -> None:
    async with held_clients():
        states = await asyncio.gather(*(eightfold(number, return_state=True) for number in range(AT_ONCE)))
    assert [state.name for state in states] == ["Completed"] * AT_ONCE
    assert answers.keys() <= {200, 201, 204}
    runs = [str(state.state_details.flow_run_id) for state in states]
    completed = {"flow_runs": {"id": {"any_": runs}}, "task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}

    async def all_are_recorded() -> bool:
        return bool(await rest("POST", "/task_runs/count", completed) == 3 * AT_ONCE)

    await wait_until_async(all_are_recorded, f"{3 * AT_ONCE} completed task runs")


@pytest.mark.usefixtures("prefect_settings")
async def test_the_storage_block_is_saved_as_often_as_one_likes(tmp_path: Path, rest: PrefectRest) -> None:
    reference = await save_storage_block(tmp_path / "before", name="tests")
    assert await save_storage_block(tmp_path / "after", name="tests") == reference == "local-file-system/tests"
    kind = "/block_types/slug/local-file-system/block_documents/name/tests"
    assert (await rest("GET", kind))["data"]["basepath"] == str(tmp_path / "after")


@pytest.mark.usefixtures("prefect_settings")
async def test_with_the_block_named_a_run_does_not_ask_for_a_default_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = await save_storage_block(tmp_path, name="named")
    asked: list[str] = []
    send = httpx.Client.send

    def noting_send(self: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        asked.append(request.url.path)
        return send(self, request, **options)

    with temporary_settings({"PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK": reference}):
        assert get_current_settings().results.default_storage_block == reference
        async with held_clients():
            await eightfold(1)
            monkeypatch.setattr(httpx.Client, "send", noting_send)
            await eightfold(2)
    assert asked == []


async def test_a_new_schedule_has_runs_within_seconds(rest: PrefectRest) -> None:
    flow_id = (await rest("POST", "/flows/", {"name": "scheduled"}))["id"]
    await rest("POST", "/work_pools/", {"name": "scheduled", "type": "process"})
    schedules = [{"schedule": {"cron": "0 * * * *", "timezone": "Europe/Berlin"}}]
    deployment = {"name": "hourly", "flow_id": flow_id, "work_pool_name": "scheduled", "schedules": schedules}
    await rest("POST", "/deployments/", deployment)

    async def has_runs() -> bool:
        return bool(await rest("POST", "/flow_runs/count", {"flows": {"id": {"any_": [flow_id]}}}))

    await wait_until_async(has_runs, "runs of the schedule")
    assert rest.refused == []


async def test_the_vacuum_takes_runs_past_their_retention(prefect_server: PrefectServer, rest: PrefectRest) -> None:
    flow_id = (await rest("POST", "/flows/", {"name": "old"}))["id"]
    run = await rest("POST", "/flow_runs/", {"flow_id": flow_id, "state": {"type": "RUNNING"}})
    await rest("POST", f"/flow_runs/{run['id']}/set_state", {"state": {"type": "COMPLETED"}})
    database = prefect_server.log.with_name("prefect.db")
    with closing(sqlite3.connect(database, timeout=PATIENCE_SECONDS)) as connection, connection:
        connection.execute("UPDATE flow_run SET end_time = '2020-01-01 00:00:00' WHERE id = ?", [run["id"]])

    async def is_gone() -> bool:
        return (await rest.client.get(f"/flow_runs/{run['id']}")).status_code == 404

    await wait_until_async(is_gone, "the old run is deleted")


def test_it_ends_when_the_process_that_started_it_is_killed_even_before_it_is_up(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", START, str(tmp_path)]) as parent:
        wait_until(lambda: bool(psutil.Process(parent.pid).children()), "it has started its server")
        [server] = psutil.Process(parent.pid).children()
        parent.kill()
    wait_until(lambda: not is_alive(server), "the server is gone")


def test_a_port_in_use_is_said_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse, match=str(port)), start_server(tmp_path, port=port):
            pass
        environment = {"PATH": os.environ["PATH"], "PREFECT_SERVER_API_PORT": str(port)}
        command = [sys.executable, "-m", "deployments.standalone.prefect_server"]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (PORT_IN_USE, "")
    (line,) = ended.stderr.splitlines()
    assert f"127.0.0.1:{port}" in line
    assert "PREFECT_SERVER_API_PORT" in line


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    wrong = {**os.environ, "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "soon"}
    with (
        pytest.raises(PrefectServerFailed, match="retention_period") as failure,
        start_server(tmp_path, inherited=wrong),
    ):
        pass
    assert failure.value.exit_status not in {0, None}
