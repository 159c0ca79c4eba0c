"""`agent-service doctor` on set-ups with one thing wrong: it names that, and nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType

import pytest

from agent.system.machine import Machine
from cli.doctor.checks import run_checks
from cli.doctor.claude import pinned_version
from cli.doctor.context import read_world
from cli.doctor.finding import Finding
from cli.main import main
from demo.offline_model.model import OfflineModel
from demo.repository import create_repository
from demo.service import free_ports
from deployments.standalone.api_token import create_token

TOKEN, KEY = "0123456789abcdef-bearer", "sk-ant-the-key-of-this-test"


class Site:
    """A host on which all is well, until a test breaks something."""

    def __init__(self, directory: Path, origin: Path, model_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self._monkeypatch = monkeypatch
        api_port, prefect_port = free_ports(2)
        for name in [*os.environ]:
            if name not in ("PATH", "HOME", "LANG"):
                monkeypatch.delenv(name)
        monkeypatch.chdir(directory)  # away from any .env
        self.set(
            CLAUDE_CLI=str(self.program("claude", f"echo '{pinned_version()} (Claude Code)'")),
            STATE_DIR=str(directory / "state"),
            WORKSPACE_DIR=str(origin),
            API_PORT=str(api_port),
            PREFECT_SERVER_API_PORT=str(prefect_port),
            API_BEARER_TOKEN=TOKEN,
            ANTHROPIC_API_KEY=KEY,
            ANTHROPIC_BASE_URL=model_url,
        )

    def set(self, **variables: str) -> None:
        for name, value in variables.items():
            self._monkeypatch.setenv(name, value)

    def unset(self, name: str) -> None:
        self._monkeypatch.delenv(name)

    def program(self, name: str, script: str) -> Path:
        path = self.directory / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        return path

    def run_checks(self) -> list[Finding]:
        return asyncio.run(run_checks(read_world(os.environ)))


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return create_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture
def site(tmp_path: Path, origin: Path, offline_model: OfflineModel, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path, origin, offline_model.url, monkeypatch)


Breaking = Callable[[Site], None]


def no_cli(site: Site) -> None:
    site.set(CLAUDE_CLI="/nowhere/claude")


def cli_not_executable(site: Site) -> None:
    site.program("claude", "").chmod(0o600)


def cli_that_is_none(site: Site) -> None:
    site.program("claude", "echo cannot start >&2; exit 3")


def no_credential(site: Site) -> None:
    site.unset("ANTHROPIC_API_KEY")


def no_bubblewrap(site: Site) -> None:
    programs = site.directory / "programs"
    programs.mkdir()
    for name in ("git", "sh"):
        (programs / name).symlink_to(shutil.which(name) or "")
    site.set(PATH=str(programs), AGENT_SANDBOX="bwrap")


def no_git(site: Site) -> None:
    programs = site.directory / "programs"
    programs.mkdir()
    (programs / "bwrap").symlink_to(shutil.which("bwrap") or "/nowhere")
    site.set(PATH=str(programs))


def workspace_that_is_no_repository(site: Site) -> None:
    (site.directory / "plain").mkdir()
    site.set(WORKSPACE_DIR=str(site.directory / "plain"))


def workspace_that_is_not_there(site: Site) -> None:
    site.set(WORKSPACE_DIR="/nowhere/infra")


def remote_that_is_away(site: Site) -> None:
    remote = f"http://somebody:hunter2hunter2@127.0.0.1:{free_ports(1)[0]}/site.git"
    site.set(WORKSPACES=json.dumps({"site": {"remote": remote}}))


def remote_without_a_commit(site: Site) -> None:
    subprocess.run(["git", "init", "--quiet", "--bare", str(site.directory / "empty.git")], check=True)
    site.set(WORKSPACE_DIR=str(site.directory / "empty.git"))


def prefect_away(site: Site) -> None:
    site.set(PREFECT_API_URL=f"http://127.0.0.1:{free_ports(1)[0]}/api")


def state_dir_in_the_way(site: Site) -> None:
    (site.directory / "state").write_text("a file")


def state_dir_where_nobody_writes(site: Site) -> None:
    site.set(STATE_DIR="/proc/agent-service")


def token_that_others_guess(site: Site) -> None:
    site.set(API_BEARER_TOKEN="secret", API_HOST="0.0.0.0")


def database_away(site: Site) -> None:
    site.set(DATABASE_URL=f"postgresql://agents:hunter2hunter2@127.0.0.1:{free_ports(1)[0]}/agents")


def database_of_a_newer_version(site: Site) -> None:
    with sqlite3.connect(site.directory / "newer.sqlite3") as connection:
        connection.execute("CREATE TABLE store_version (version_num TEXT)")
        connection.execute("INSERT INTO store_version VALUES ('9999')")
    connection.close()
    site.set(DATABASE_URL=f"sqlite:///{site.directory}/newer.sqlite3")


def egress_that_is_no_place(site: Site) -> None:
    site.set(AGENT_NETWORK="allow", AGENT_EGRESS_ALLOW="https://example.com/")


def no_template(site: Site) -> None:
    site.set(AGENT_CONFIG_TEMPLATE="/nowhere/.claude")


BROKEN: list[tuple[Breaking, str, str]] = [
    (no_cli, "claude", "no claude CLI at /nowhere/claude"),
    (cli_not_executable, "claude", "not executable"),
    (cli_that_is_none, "claude", "--version failed: cannot start"),
    (no_credential, "credential", "none is set"),
    (no_bubblewrap, "sandbox", "bubblewrap is not installed"),
    (no_git, "git", "git is not installed"),
    (workspace_that_is_no_repository, "workspace default", "not a git repository"),
    (workspace_that_is_not_there, "workspace default", "there is no such directory"),
    (remote_that_is_away, "workspace site", "git ls-remote failed"),
    (remote_without_a_commit, "workspace default", "has no commit yet"),
    (prefect_away, "prefect", "no answer from http://127.0.0.1"),
    (state_dir_in_the_way, "state", "cannot be written"),
    (state_dir_where_nobody_writes, "state", "cannot be written"),
    (token_that_others_guess, "token", "can be guessed, and API_HOST=0.0.0.0"),
    (database_away, "database", "store at postgresql://agents:"),
    (database_of_a_newer_version, "database", "newer version"),
    (egress_that_is_no_place, "agent network", "is no host"),
    (no_template, "agent config", "is no directory"),
]


def red(findings: list[Finding]) -> list[Finding]:
    return [one for one in findings if one.level == "broken"]


OF_THIS_MACHINE = ("user", "cgroups", "sandbox", "size")


def warned(findings: list[Finding]) -> list[str]:
    """What is worth knowing, but for what the machine that runs the tests is like."""
    return [
        one.check
        for one in findings
        if one.level == "warning" and one.check not in ("user", "cgroups", "sandbox", "size")
    ]


def test_a_host_on_which_all_is_well_has_nothing_red(site: Site) -> None:
    site.unset("CLAUDE_CLI")  # the real one
    findings = site.run_checks()
    assert red(findings) == []
    assert warned(findings) == []
    assert {one.check for one in findings} >= {"claude", "state", "database", "prefect", "api", "not seen"}
    assert not (site.directory / "state").exists()


@pytest.mark.parametrize(("breaking", "check", "text"), BROKEN, ids=[row[0].__name__ for row in BROKEN])
def test_the_one_thing_that_is_wrong_is_named_and_nothing_else(
    site: Site, breaking: Breaking, check: str, text: str
) -> None:
    breaking(site)
    findings = site.run_checks()
    [wrong] = red(findings)
    assert (wrong.check, text in wrong.text) == (check, True), wrong
    assert wrong.mend
    assert warned(findings) == []
    said = "".join(one.model_dump_json() for one in findings)
    assert not any(secret in said for secret in (KEY, TOKEN, "hunter2"))


@pytest.mark.parametrize(("setting", "check"), [("API_PORT", "api"), ("PREFECT_SERVER_API_PORT", "prefect")])
def test_a_port_that_somebody_else_has_is_told_with_who_it_is(site: Site, setting: str, check: str) -> None:
    with answering("somebody else") as port:
        site.set(**{setting: str(port)})
        [wrong] = red(site.run_checks())
    assert wrong.check == check
    assert f"process {os.getpid()}" in wrong.text
    assert setting in wrong.mend


def test_a_listener_that_says_nothing_does_not_hold_it_up(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        site.set(API_PORT=str(silent.getsockname()[1]))
        [wrong] = red(site.run_checks())
    assert (wrong.check, "is taken by" in wrong.text) == ("api", True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a small file system")
def test_a_file_system_that_is_nearly_full_is_told(site: Site) -> None:
    state = site.directory / "state"
    state.mkdir(mode=0o700)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(state)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        [wrong] = red(site.run_checks())
    finally:
        subprocess.run(["umount", str(state)], check=True)
    assert (wrong.check, "MB left" in wrong.text) == ("state", True)


@pytest.mark.long
def test_a_remote_that_says_nothing_does_not_hold_it_up(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        site.set(WORKSPACE_DIR=f"http://127.0.0.1:{silent.getsockname()[1]}/infra.git")
        [wrong] = red(site.run_checks())
    assert (wrong.check, "timed out" in wrong.text) == ("workspace default", True)


def test_a_ref_that_the_remote_does_not_name_is_worth_knowing(site: Site) -> None:
    site.set(WORKSPACES=json.dumps({"default": {"ref": "no-such-branch"}}))
    findings = site.run_checks()
    assert red(findings) == []
    assert warned(findings) == ["workspace default"]


def test_without_a_token_the_one_that_the_service_created_counts(site: Site) -> None:
    site.unset("API_BEARER_TOKEN")
    assert warned(site.run_checks()) == ["token"]
    create_token(site.directory / "state")
    findings = site.run_checks()
    assert red(findings) == []
    assert warned(findings) == []


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({"PREFECT_HOME": "/elsewhere"}, "PREFECT_HOME"),
        ({"PREFECT_API_URL": "prefect.example"}, "PREFECT_API_URL"),
        ({"PREFECT_SERVER_API_PORT": "many"}, "is no port"),
    ],
)
def test_what_prefect_cannot_be_told_is_named(site: Site, variables: dict[str, str], text: str) -> None:
    site.set(**variables)
    [wrong] = red(site.run_checks())
    assert (wrong.check, text in wrong.text) == ("prefect", True)


def test_a_key_that_the_provider_refuses_is_named(site: Site) -> None:
    error = {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}}
    with answering(json.dumps(error), status=401) as port:
        site.set(ANTHROPIC_BASE_URL=f"http://127.0.0.1:{port}")
        [wrong] = red(site.run_checks())
    assert (wrong.check, "refuses ANTHROPIC_API_KEY (401: invalid x-api-key)" in wrong.text) == ("credential", True)


@pytest.mark.parametrize(
    ("answer", "ours", "is_warned"),
    [((200, "[]"), False, True), ((200, "[]"), True, False), ((500, "x"), False, False)],
)
def test_a_stock_prefect_server_on_sqlite_is_worth_knowing(
    site: Site, answer: tuple[int, str], ours: bool, is_warned: bool
) -> None:
    with answering('"3.8.8"', posted=answer, headers={"x-served-by": "claude-agent-service"} if ours else {}) as port:
        site.set(PREFECT_API_URL=f"http://127.0.0.1:{port}/api")
        findings = site.run_checks()
    assert any("SQLite" in one.text for one in findings if one.level == "warning") == is_warned


def test_more_agents_than_the_machine_carries_are_worth_knowing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    small = Machine(memory_bytes=2**30, available_bytes=2**30, processors=1, memory_limited=True)
    monkeypatch.setattr("cli.doctor.sandbox.read_machine", lambda: small)
    [size] = [one for one in site.run_checks() if one.check == "size"]
    assert size.text.startswith("2 agents at once, with 1.0 GB of memory and 1 processors (the limit of its control gr")
    assert "AGENT_MEMORY_MB=4096 is more" in size.text
    site.set(AGENT_CAPACITY="8")
    [size] = [one for one in site.run_checks() if one.check == "size"]
    assert (size.level, size.mend) == ("warning", "export AGENT_CAPACITY=2, or give it more")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a directory to a group")
def test_a_volume_of_a_group_is_known_as_such(site: Site) -> None:
    state = site.directory / "state"
    state.mkdir()
    state.chmod(0o2775)
    assert warned(site.run_checks()) == []


def test_another_version_of_the_cli_is_worth_knowing(site: Site) -> None:
    site.program("claude", "echo '9.9.9 (Claude Code)'")
    findings = site.run_checks()
    assert red(findings) == []
    assert warned(findings) == ["claude"]
    assert "9.9.9" in findings[0].text


def test_a_prefect_server_that_asks_nobody_for_a_password_is_worth_knowing(site: Site) -> None:
    with answering('"3.8.8"') as port:
        site.set(PREFECT_API_URL=f"http://127.0.0.1:{port}/api")
        findings = site.run_checks()
    assert red(findings) == []
    assert warned(findings) == ["prefect"]


def test_a_clock_that_is_far_off_is_told(site: Site) -> None:
    with answering('"3.8.8"', date="Thu, 01 Jan 2026 00:00:00 GMT") as port:
        site.set(PREFECT_API_URL=f"http://127.0.0.1:{port}/api")
        [wrong] = red(site.run_checks())
    assert (wrong.check, "ahead of Prefect's" in wrong.text) == ("clock", True)


def test_what_agents_get_and_what_they_lack_is_told_by_name(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    home = site.directory / "home"
    for name in (".ssh", ".kube", ".claude"):
        (home / name).mkdir(parents=True)
    site.set(HOME=str(home), GH_TOKEN="ghp-hunter2hunter2", KUBECONFIG="/k", AGENT_ENV_ALLOW="KUBECONFIG")
    site.set(AGENT_READ_PATHS=str(home / ".kube"))
    told = {one.check: one for one in site.run_checks()}
    assert "KUBECONFIG" in told["agent env"].text
    assert told["not seen"].text == (
        "agents have a HOME of their own, without ~/.ssh, ~/.claude, and not the variables GH_TOKEN"
    )
    assert "AGENT_ENV_ALLOW=GH_TOKEN" in told["not seen"].mend
    assert "hunter2" not in "".join(map(str, told.values()))


def test_a_setting_that_cannot_be_read_is_all_there_is_to_say(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site.set(AGENT_CAPACITY="many")
    assert doctor(monkeypatch) == 1
    said = capsys.readouterr().out
    assert said.startswith("✗ settings      AGENT_CAPACITY: ")
    assert "1 broken" in said


def test_the_command_prints_a_line_a_check_and_the_mend_below(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site.set(API_BEARER_TOKEN="secret", API_HOST="0.0.0.0")
    assert doctor(monkeypatch) == 1
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("✗ token         API_BEARER_TOKEN can be guessed, and API_HOST=0.0.0.0 is open to others")
    assert lines[at + 1].strip() == "→ export API_BEARER_TOKEN=$(openssl rand -hex 32)"
    site.set(API_BEARER_TOKEN=TOKEN, API_HOST="127.0.0.1")
    assert doctor(monkeypatch, "--json") == 0
    assert {one["level"] for one in json.loads(capsys.readouterr().out)} <= {"ok", "warning"}


def doctor(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """The exit status of the command."""
    monkeypatch.setattr(sys, "argv", ["agent-service", "doctor", *words])
    with pytest.raises(SystemExit) as ending:
        main()
    return int(ending.value.code or 0)


@contextmanager
def answering(
    body: str,
    date: str | None = None,
    status: int = 200,
    posted: tuple[int, str] = (501, ""),
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[int]:
    """A server that answers everything so, to anybody; gives its port."""

    class Anybody(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def do_POST(self) -> None:
            self.send_response(posted[0])
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(posted[1].encode())

        def date_time_string(self, timestamp: int | float | None = None) -> str:
            return date or super().date_time_string(timestamp)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Anybody) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
