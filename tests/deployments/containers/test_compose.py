"""The topology of compose.yaml: PostgreSQL, Redis, Prefect and two hosts; one of them is killed, one stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
from client import TOKEN, Caller, bash, say
from engine import BASE, Engine, wait_until
from topology import run_topology, write_stand_ins

pytestmark = pytest.mark.long


def test_jobs_over_two_hosts_end_once_whatever_becomes_of_a_host(
    engine: Engine, network: str, model_url: str, repository: Path, tmp_path: Path
) -> None:
    write_stand_ins(engine, BASE, tmp_path / "stand-ins")
    config = tmp_path / "config"
    config.mkdir()
    # what has no variable in the file: each host reads it here
    (config / ".env").write_text("QUEUE_POLL_SECONDS=0.5\nLOST_AFTER_SECONDS=90\n")
    for path in (config, *config.iterdir(), *tmp_path.parents):
        if len(path.parts) > 2:
            path.chmod(path.stat().st_mode | 0o055)
    variables = {
        "POSTGRES_PASSWORD": "test-only",
        "PREFECT_PASSWORD": "test-only-too",
        "API_BEARER_TOKEN": TOKEN,
        "CLAUDE_CODE_OAUTH_TOKEN": "offline",
        "ANTHROPIC_BASE_URL": model_url,
        "AGENT_CAPACITY": "2",
        "WORKSPACE_DIR": "file:///repository/origin.git",
        "NO_PROXY": model_url.removeprefix("http://").partition(":")[0],
        "CONFIG_DIR": str(config),
    }
    proxies = ["--env", "HTTP_PROXY=http://192.0.2.1:3128", "--env", "http_proxy=http://192.0.2.1:3128"]
    more = [*proxies, "--volume", f"{repository}:/repository"]
    with (
        run_topology(engine, network, variables, more),
        Caller("http://127.0.0.1:8081") as first,
        Caller("http://127.0.0.1:8082") as second,
    ):
        wait_until(lambda: first.is_ready() and second.is_ready(), "both hosts are ready")
        jobs = [first.start(bash("sleep 5"), say("slept"), on_crash="resume") for _ in range(8)]
        wait_until(lambda: any(second.job(job)["phase"] == "working" for job in jobs), "a job works")
        engine.run("kill", "host-2")
        engine.run("start", "host-2")
        assert [first.result(job)["status"] for job in jobs] == ["completed"] * 8

        wait_until(second.is_ready, "the second host is back")
        others = [second.start(bash("sleep 5"), say("slept")) for _ in range(4)]
        engine.run("stop", "--time", 120, "host-1")
        assert engine.inspect("host-1")["ExitCode"] == 0
        assert [second.result(job)["status"] for job in others] == ["completed"] * 4
