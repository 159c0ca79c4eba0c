"""`agent-service kept`: what agents left unpushed, listed and brought back from the terminal."""

import asyncio
import json
import sys
from pathlib import Path

import pytest
from repositories import Host, Upstream, agent, git

from cli.main import main


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    return Upstream(tmp_path / "upstream")


@pytest.fixture
def host(tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host's workspaces, and an operator's shell on that host."""
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("WORKSPACE_DIR", str(upstream.remote))
    place = tmp_path / "operator"
    place.mkdir()
    monkeypatch.chdir(place)
    return Host(tmp_path / "state", upstream.remote, kept_work_max_bytes=100_000)


def left(host: Host, script: str, run_id: str) -> None:
    """A run whose agent did that, and pushed nothing."""

    async def whole_run() -> None:
        checkout, snapshot = await host.ready(run_id)
        agent(checkout, script)
        await host.workspaces.collect(host.slot(), snapshot, run_id)

    asyncio.run(whole_run())


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """The exit status of the command `agent-service`."""
    monkeypatch.setattr(sys, "argv", ["agent-service", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_kept_work_is_listed_and_restored(
    host: Host, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left(host, "echo 1 > one; git add one; git commit -qm one; echo 2 > two", "run-1")
    assert command(monkeypatch, "kept") == 0
    [line] = capsys.readouterr().out.splitlines()
    run, kept_at, workspace, what = line.split("\t")
    assert (run, kept_at[:2], workspace, what) == (
        "run-1",
        "20",
        "default",
        "1 unpushed commit and uncommitted changes",
    )

    upstream.go_away()
    assert command(monkeypatch, "kept", "restore", "run-") == 0
    place = Path("kept-run-1").absolute()
    assert f"restored to {place}, on the branch agent-run/run-1" in capsys.readouterr().out
    assert (git(place, "log", "-1", "--format=%s"), (place / "two").read_text()) == ("one", "2\n")
    upstream.come_back()
    git(place, "push", "--quiet", "origin", "HEAD:rescued")
    assert upstream.log("rescued")[0] == "one"

    assert command(monkeypatch, "kept", "restore", "run-1", "elsewhere/deep") == 0
    assert Path("elsewhere/deep/two").exists()


def test_it_is_listed_as_json_for_programs(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left(host, "echo 2 > two", "run-2")
    assert command(monkeypatch, "kept", "--json") == 0
    [one] = json.loads(capsys.readouterr().out)
    assert (one["run_id"], one["ref"], one["workspace"]) == ("run-2", "refs/agent-runs/run-2", "default")


def test_what_git_could_not_keep_is_named_with_its_place(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left(host, "yes | head -c 200000 > large", "run-3")
    assert command(monkeypatch, "kept") == 0
    said = capsys.readouterr().out
    assert f"quarantined, because git could not store it: {host.state}/" in said


def test_where_nothing_is_kept_it_says_so_and_makes_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "kept") == 0
    assert capsys.readouterr().out == ""
    assert command(monkeypatch, "kept", "restore", "run-9") == 1
    said = capsys.readouterr().err
    assert said == "agent-service: nothing is kept of run 'run-9' on this host; `agent-service kept` lists what is\n"
    assert not Path("kept-run-9").exists()


def test_restoring_overwrites_nothing_of_the_operators(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left(host, "echo 2 > two", "run-1")
    Path("mine").mkdir()
    Path("mine/precious").write_text("mine")
    assert command(monkeypatch, "kept", "restore", "run-1", "mine") == 1
    assert "is not empty; name a new directory" in capsys.readouterr().err
    assert [path.name for path in Path("mine").iterdir()] == ["precious"]
