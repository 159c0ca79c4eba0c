"""The image, run for real as docs/deploying.md has it; make container-test."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from client import TOKEN, Caller, bash, say
from engine import FILES, IMAGE, ROOT, SECURITY, Engine, wait_until

pytestmark = pytest.mark.long

PORT = 18_080
# nothing listens there: what Docker injects on a company's network must not be used for loopback
PROXIES = ("--env", "HTTP_PROXY=http://192.0.2.1:3128", "--env", "http_proxy=http://192.0.2.1:3128")


@contextmanager
def host(engine: Engine, network: str, model_url: str, repository: Path, *words: object) -> Iterator[Caller]:
    """One host, hardened; its words come before the image."""
    settings = {
        "API_BEARER_TOKEN": TOKEN,
        "ANTHROPIC_API_KEY": "offline",
        "ANTHROPIC_BASE_URL": model_url,
        "NO_PROXY": model_url.removeprefix("http://").partition(":")[0],
        "WORKSPACE_DIR": "file:///repository/origin.git",
    }
    environment = [word for name, value in settings.items() for word in ("--env", f"{name}={value}")]
    places = ["--network", network, "--publish", f"127.0.0.1:{PORT}:8080", "--volume", f"{repository}:/repository"]
    with engine.container("agent-service-test-host", *SECURITY, *PROXIES, *environment, *places, *words, IMAGE) as name:
        caller = Caller(f"http://127.0.0.1:{PORT}")
        try:
            wait_until(lambda: caller.is_ready() or not engine.inspect(name)["Running"], "the host is ready")
            assert engine.inspect(name)["Running"]
            yield caller
        finally:
            caller.close()
            print(engine.run("logs", "--tail", 40, name, check=False))


def test_a_small_container_runs_as_many_agents_as_it_carries_and_loses_nothing_when_it_is_stopped_and_killed(
    engine: Engine, network: str, model_url: str, repository: Path
) -> None:
    name = "agent-service-test-host"
    with host(engine, network, model_url, repository, "--memory", "1g", "--cpus", "1") as caller:
        assert caller.health()["capacity"]["agents"] <= 2
        wait_until(lambda: engine.inspect(name)["Health"]["Status"] == "healthy", "the health check is content", 120)

        write = "echo done > from-a-container.txt && git add . && git commit -qm 'From a container' && git push -q"
        pushed = caller.start(bash(write), say("pushed"))
        jobs = [caller.start(say(f"answer {number}")) for number in range(7)]
        assert [caller.result(job)["status"] for job in [pushed, *jobs]] == ["completed"] * 8
        subjects = ["git", "-C", repository / "origin.git", "log", "--all", "--format=%s"]
        assert "From a container" in subprocess.run(subjects, capture_output=True, text=True, check=True).stdout

        # `docker stop` as everybody types it
        long = caller.start(bash("sleep 20"), say("slept"), on_crash="resume")
        wait_until(lambda: caller.job(long)["phase"] == "working", "the job works")
        engine.run("stop", name)
        # the engine kills what needs longer than it allows, and says 137
        assert engine.inspect(name)["ExitCode"] == 0
        engine.run("start", name)
        wait_until(caller.is_ready, "the host is back")
        assert caller.result(long)["status"] == "completed"

        # killed
        waiting = caller.start(bash("sleep 15"), say("slept"), on_crash="resume")
        wait_until(lambda: caller.job(waiting)["phase"] == "working", "the job works")
        engine.run("kill", name)
        engine.run("start", name)
        wait_until(caller.is_ready, "the host is back")
        assert caller.result(waiting)["status"] == "completed"

        doctor = json.loads(engine.run("exec", name, "agent-service", "doctor", "--json"))
        assert [one for one in doctor if one["level"] == "broken"] == []
        [cgroups] = [one for one in doctor if one["check"] == "cgroups"]
        assert "Delegate" not in cgroups["mend"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--user", "123456:654321", "--tmpfs", "/tmp"], "STATE_DIR=/var/lib/agent-service cannot be written"),
        (["--user", "123456:0"], "no temporary file can be written"),
        (["--tmpfs", "/tmp", "--cap-drop", "ALL"], "no sandbox can be built here"),
    ],
    ids=["stranger", "no-tmp", "no-sandbox"],
)
def test_what_cannot_work_is_one_line_at_once(engine: Engine, image: str, words: list[str], complaint: str) -> None:
    name = "agent-service-test-refused"
    with engine.container(name, "--read-only", *words, image):
        assert int(engine.run("wait", name, seconds=120)) == 2
        said = engine.run("logs", name).strip()
    assert complaint in said
    assert "\n" not in said


def test_any_user_of_the_group_0_can_write_its_volume(engine: Engine, image: str) -> None:
    words = ["--rm", "--user", "123456:0", "--read-only", "--tmpfs", "/tmp", image, "doctor", "--json"]
    found = {one["check"]: one for one in json.loads(engine.run("run", *words, check=False))}
    assert found["state"]["level"] == "ok"


def test_a_change_of_the_source_downloads_nothing_again(engine: Engine, image: str, tmp_path: Path) -> None:
    dockerfile = (FILES / "docker" / "Dockerfile").read_text()
    before, after = dockerfile.split("COPY README.md", 1)
    built = engine.build(f"{before}RUN echo changed\nCOPY README.md{after}", f"{IMAGE}:changed", ROOT)
    step = next(part for part in built.split("\nStep ") if "requirements.txt" in part)
    assert "Using cache" in step
