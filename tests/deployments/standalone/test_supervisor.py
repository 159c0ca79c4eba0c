"""`agent-service up`: what it does when its parts die, and that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest
from waiting import pauses

from benchmarks.chaos.arena import Arena
from benchmarks.chaos.faults import HOST, PREFECT, find_part, wait_until_whole
from demo.service import Stage, free_ports
from deployments.standalone import supervisor


@pytest.fixture
def own_stage(arena: Arena) -> Stage:
    """A service whose parts may be killed."""
    asyncio.run(wait_until_whole(arena.stage))
    return arena.stage


def part(stage: Stage, module: str) -> psutil.Process:
    """The process that runs `module`."""
    found = find_part(stage, module)
    assert found is not None
    return found


def until(claim: Callable[[], object], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    for pause in pauses():
        if claim():
            return
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(pause)


def client(stage: Stage) -> httpx.Client:
    return httpx.Client(base_url=stage.url, headers={"Authorization": f"Bearer {stage.token}"}, timeout=30)


def answers(stage: Stage, path: str) -> bool:
    try:
        return httpx.get(f"{stage.url}{path}", timeout=10).status_code == 200
    except httpx.TransportError:
        return False


def chat(stage: Stage) -> str:
    body = {"messages": [{"role": "user", "content": 'offline-model: {"text": "pong"}'}]}
    with client(stage) as service:
        answer = service.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    text: str = answer.json()["choices"][0]["message"]["content"]
    return text


def test_while_prefect_does_not_answer_callers_are_told_so(own_stage: Stage) -> None:
    server = part(own_stage, PREFECT)
    server.suspend()
    try:
        with client(own_stage) as service:
            answer = service.post("/execute", json={"agent": "service-upgrade", "prompt": "hi"})
            assert answer.status_code == 503
            assert "Prefect" in answer.json()["detail"]
            assert service.get("/health").status_code == 200
    finally:
        server.resume()


def test_a_prefect_server_that_dies_is_started_again(own_stage: Stage) -> None:
    old = part(own_stage, PREFECT)
    old.kill()
    until(lambda: not alive([old]) and answers(own_stage, "/ready"), "the server is back")
    assert chat(own_stage) == "pong"


@pytest.mark.long
def test_a_host_that_dies_is_started_again_and_takes_no_agent_with_it(own_stage: Stage) -> None:
    host = part(own_stage, HOST)
    script = [{"tool": "Bash", "input": {"command": "for i in $(seq 600); do sleep 0.5; done"}}]
    with client(own_stage) as service:
        body = {"agent": "service-upgrade", "prompt": f"offline-model: {json.dumps(script)}"}
        service.post("/execute", json=body)
    until(lambda: any("seq 600" in words(process) for process in descendants(host)), "the tool runs")
    family = descendants(host)
    host.kill()
    until(lambda: answers(own_stage, "/ready") and part(own_stage, HOST).pid != host.pid, "the host is back")
    until(lambda: not alive(family), "its agents are gone", 15)
    assert chat(own_stage) == "pong"


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run: a zombie waits for whoever is to bury it, and does nothing any more."""
    return [process for process in processes if process.is_running() and state(process) != psutil.STATUS_ZOMBIE]


def words(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


def state(process: psutil.Process) -> str:
    try:
        return str(process.status())
    except psutil.NoSuchProcess:
        return psutil.STATUS_ZOMBIE


def descendants(process: psutil.Process) -> list[psutil.Process]:
    """All below `process` that are more than zombies."""
    try:
        return alive(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def test_it_ends_once_whoever_started_it_was_killed_if_it_was_told_to(tmp_path: Path) -> None:
    api, prefect = free_ports(2)
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME")},
        "STATE_DIR": str(tmp_path / "state"),
        "API_PORT": str(api),
        "PREFECT_API_URL": f"http://127.0.0.1:{prefect}/api",  # which the host waits for
    }
    shell = f"{sys.executable} -m cli.main up --only host --exit-with-parent; true"
    with subprocess.Popen(["sh", "-c", shell], env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL) as starter:
        until(lambda: len(descendants(psutil.Process(starter.pid))) == 2, "it has started its host")
        family = descendants(psutil.Process(starter.pid))
        starter.kill()
    until(lambda: alive(family) == [], "they have ended", 20)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_while_prefects_server_is_awaited_ends_it_at_once(tmp_path: Path, number: signal.Signals) -> None:
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME")},
        **{"STATE_DIR": str(tmp_path / "state"), "PREFECT_SERVER_API_PORT": "0", "API_PORT": "0"},
    }
    with subprocess.Popen([sys.executable, "-m", "cli.main", "up"], env=environment, cwd=tmp_path) as service:
        until(lambda: descendants(psutil.Process(service.pid)), "Prefect's server is started")
        family = descendants(psutil.Process(service.pid))
        service.send_signal(number)
        assert service.wait(60) == 0
    assert alive(family) == []


def test_a_host_that_always_fails_before_it_is_ready_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supervisor, "_HOST", ("-c", "raise SystemExit(1)"))
    monkeypatch.setattr(supervisor, "_MAX_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(supervisor, "check_external_prefect", lambda *_: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    environment = {"PATH": os.environ["PATH"], "PREFECT_API_URL": "http://127.0.0.1:9/api"}
    assert supervisor.Supervisor(tmp_path, environment, "host", {}).run() == 1
    said = capfd.readouterr().out
    assert said.count("; starting it again in") == 4
    assert "ended 5 times before it was ready" in said


def test_a_prefect_server_that_is_away_is_one_line_and_is_waited_for(tmp_path: Path) -> None:
    prefect = free_ports(1)[0]
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME")},
        **{"STATE_DIR": str(tmp_path / "state"), "API_PORT": "0", "PYTHONUNBUFFERED": "1"},
        "PREFECT_API_URL": f"http://127.0.0.1:{prefect}/api",
    }
    command = [sys.executable, "-P", "-m", "api"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode not in (supervisor.NEVER_READY, supervisor.CANNOT_START)
    assert "Prefect's API is not available" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("setting", ["PREFECT_SERVER_API_PORT", "API_PORT"])
def test_a_port_in_use_is_named_and_nothing_is_left_running(tmp_path: Path, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as free:
        port, other = taken.getsockname()[1], free.getsockname()[1]
        free.close()
        environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME")},
            "STATE_DIR": str(tmp_path / "state"),
            "PREFECT_SERVER_API_PORT": str(other),
            "API_PORT": "0",
            setting: str(port),
        }
        command = [sys.executable, "-m", "cli.main", "up"]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=90)
    assert done.returncode != 0
    assert f"127.0.0.1:{port}" in done.stderr
    assert setting in done.stderr


def test_a_wrong_setting_is_one_line_that_names_it(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "AGENT_CAPACITY": "many"}
    command = [sys.executable, "-m", "cli.main", "up"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "AGENT_CAPACITY" in done.stderr
