"""Which service a command asks, and where its token goes."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from terminal import run_command

from cli.client.connection import Connection, ConnectionChoice, contexts_path, created_token, resolve
from cli.errors import TerminalError

LOCAL = "http://127.0.0.1:8080"
NOTHING_CHOSEN = ConnectionChoice()
TOKEN = {"API_BEARER_TOKEN": "operators-own"}


@pytest.fixture
def contexts(tmp_path: Path) -> Path:
    return tmp_path / "contexts.json"


def found(
    contexts: Path, dotenv: str = "", choice: ConnectionChoice = NOTHING_CHOSEN, **environment: str
) -> Connection:
    directory = contexts.parent / "directory"
    directory.mkdir(exist_ok=True)
    (directory / ".env").write_text(dotenv)
    return resolve(choice, environment, directory, contexts)


def test_without_any_setting_it_is_the_default_address(contexts: Path) -> None:
    assert found(contexts) == Connection(LOCAL, None, "the default address")


@pytest.mark.parametrize("dotenv", ["API_PORT=9999", "api_port=9999", "API_HOST=evil.example", "export API_PORT=9999"])
def test_the_operators_token_never_goes_to_an_address_of_a_directory(contexts: Path, dotenv: str) -> None:
    with pytest.raises(TerminalError, match="is not sent there"):
        found(contexts, dotenv, **TOKEN)
    with pytest.raises(TerminalError, match="is not sent there"):
        found(contexts, dotenv, ConnectionChoice(token="operators-own"))


def test_an_address_and_a_token_of_one_directory_belong_together(contexts: Path) -> None:
    own = found(contexts, "API_PORT=9999\nAPI_BEARER_TOKEN=its-own\n")
    assert (own.url, own.token) == ("http://127.0.0.1:9999", "its-own")
    same = found(contexts, "API_PORT=9999\nAPI_BEARER_TOKEN=operators-own\n", **TOKEN)
    assert (same.url, same.token) == ("http://127.0.0.1:9999", "operators-own")


def test_an_address_of_the_environment_is_not_changed_by_a_directory(contexts: Path) -> None:
    own = found(contexts, "API_HOST=evil.example\nAPI_PORT=1", API_PORT="8081", **TOKEN)
    assert (own.url, own.token) == ("http://127.0.0.1:8081", "operators-own")
    assert found(contexts, "API_BEARER_TOKEN=another", API_HOST="0.0.0.0").url == LOCAL


def test_the_token_that_up_has_created_goes_to_no_address_of_a_directory(tmp_path: Path) -> None:
    own, theirs = tmp_path / "own", tmp_path / "theirs"
    for state, token in ((own / "claude-agent-service", "operators-own"), (theirs / "state", "of-the-directory")):
        state.mkdir(parents=True)
        (state / "api-token").write_text(f"{token}\n")
    environment = {"XDG_STATE_HOME": str(own)}
    here, typed = Connection(LOCAL, None, ".env", is_from_directory=True), Connection(LOCAL, None, "--url")
    (theirs / ".env").write_text("API_PORT=9999\n")
    assert created_token(here, environment, theirs) is None
    assert created_token(here, environment | {"STATE_DIR": str(own / "claude-agent-service")}, theirs) is None
    assert created_token(typed, environment, theirs) == "operators-own"
    (theirs / ".env").write_text("API_PORT=9999\nSTATE_DIR=state\n")
    assert created_token(here, environment, theirs) == "of-the-directory"


def test_a_context_holds_in_every_directory(contexts: Path) -> None:
    production = {"url": "https://agents.example.com", "token": "t"}
    contexts.write_text(json.dumps({"current": "production", "contexts": {"production": production}}))
    own = found(contexts, "API_PORT=9999")
    assert own == Connection("https://agents.example.com", "t", "context production")
    assert found(contexts, API_PORT="8081").url == "http://127.0.0.1:8081"
    assert found(contexts, choice=ConnectionChoice(context="production"), API_PORT="8081").token == "t"
    with pytest.raises(TerminalError, match="no context 'nothing'; there are: production"):
        found(contexts, choice=ConnectionChoice(context="nothing"))


def test_an_address_that_was_typed_is_used(contexts: Path) -> None:
    typed = found(contexts, "API_PORT=9999", ConnectionChoice(url="localhost:8082/"), **TOKEN)
    assert (typed.url, typed.token) == ("http://localhost:8082", "operators-own")
    for wrong in ("ftp://x", "http://", "http://user:word@x", "http://x:port", "http://x?y"):
        with pytest.raises(TerminalError, match="is not the address of a service"):
            found(contexts, choice=ConnectionChoice(url=wrong))


def test_contexts_are_made_chosen_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("API_HOST", "API_PORT", "API_BEARER_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    assert run_command("context", "add", "here", "--url", "127.0.0.1:1", "--token", "secret-word") == 0
    assert run_command("context", "add", "there", "--url", "https://x.example", "--token", "other") == 0
    assert run_command("context", "use", "here") == 0
    path = contexts_path({"XDG_CONFIG_HOME": str(tmp_path)})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    capsys.readouterr()
    assert run_command("context") == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == ["*\there\thttp://127.0.0.1:1", "\tthere\thttps://x.example"]
    assert "secret-word" not in said.out + said.err
    assert run_command("jobs") == 4
    assert "no service at http://127.0.0.1:1, from context here" in capsys.readouterr().err
    assert run_command("--context", "nothing", "jobs") == 1
    assert run_command("context", "remove", "here") == 0
    assert json.loads(path.read_text())["current"] is None


def test_a_wrong_port_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("API_PORT", "many")
    assert run_command("jobs") == 1
    assert capsys.readouterr().err == "agent-service: API_PORT: 'many' is not a port\n"
