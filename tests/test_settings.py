"""Settings: each is in .env.example, with its true default."""

import os
from pathlib import Path

import pytest
from pydantic import BaseModel

from agent.settings import AgentSettings
from api.settings import ApiSettings
from deployments.settings import HostSettings, SettingsError, env_file_secrets, load_env_file, read_environment
from store.settings import StoreSettings

EXAMPLE = Path(__file__).parents[1] / ".env.example"
CLASSES = [AgentSettings, ApiSettings, HostSettings, StoreSettings]


def fields() -> list[tuple[type[BaseModel], str]]:
    return [(settings, name) for settings in CLASSES for name in settings.model_fields]


@pytest.mark.parametrize(("settings", "name"), fields())
def test_every_setting_is_in_the_example_and_described(settings: type[BaseModel], name: str) -> None:
    lines = EXAMPLE.read_text().splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith(f"# {name.upper()}="))
    assert lines[at - 1].startswith("# ")
    assert settings.model_fields[name].description


def test_no_two_settings_share_a_name() -> None:
    names = [name for _, name in fields()]
    assert sorted(names) == sorted(set(names))


def test_a_list_can_be_written_as_people_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_ENV_ALLOW", "GH_TOKEN, KUBECONFIG")
    assert read_environment(AgentSettings).agent_env_allow == ["GH_TOKEN", "KUBECONFIG"]


def test_a_wrong_value_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_CAPACITY", "many")
    with pytest.raises(SettingsError, match="AGENT_CAPACITY"):
        read_environment(AgentSettings)


def test_an_empty_value_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_CAPACITY", "")
    assert read_environment(AgentSettings).agent_capacity is None


def test_json_that_is_none_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSPACES", "{nonsense")
    with pytest.raises(SettingsError, match="WORKSPACES"):
        read_environment(AgentSettings)


@pytest.fixture
def env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The `.env` of the working directory, and none of its variables in the environment."""
    for name in ("ANTHROPIC_API_KEY", "API_BEARER_TOKEN", "STATE_DIR", "PREFECT_API_URL", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".env"


def test_each_class_reads_its_own_variables_of_the_env_file(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env_file.write_bytes(
        b"\xef\xbb\xbfAPI_PORT=9001\r\nexport ANTHROPIC_API_KEY='sk-ant-1'\r\nDJANGO_DEBUG=1\r\n"
        b'# a comment\r\napi_bearer_token = "secret # not a comment"\r\nLOG_LEVEL=debug # a comment\r\nAPI_HOST=\r\n'
    )
    monkeypatch.setenv("LOG_LEVEL", "error")
    monkeypatch.setenv("API_PORT", "")  # as good as unset
    api, agent, host = read_environment(ApiSettings), read_environment(AgentSettings), read_environment(HostSettings)
    assert (api.api_port, api.api_host) == (9001, "127.0.0.1")
    assert api.api_bearer_token is not None
    assert api.api_bearer_token.get_secret_value() == "secret # not a comment"
    assert agent.anthropic_api_key is not None
    assert agent.anthropic_api_key.get_secret_value() == "sk-ant-1"
    assert host.log_level == "error"


def test_what_a_process_inherits_of_the_env_file_is_the_services_own(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {"AGENT_ENV_ALLOW": "GH_TOKEN", "PREFECT_SERVER_API_PORT": "4300"})
    env_file.write_text(
        "PREFECT_API_URL=http://prefect/api\nPREFECT_SERVER_API_PORT=1\nHTTPS_PROXY=proxy:3128\nGH_TOKEN=t\n"
        "PYTHONPATH=/strange\nDJANGO_SECRET_KEY=other-programs-own\nAPI_PORT=9001\n"
    )
    load_env_file(CLASSES)
    assert os.environ == {
        "AGENT_ENV_ALLOW": "GH_TOKEN",
        "PREFECT_SERVER_API_PORT": "4300",
        "PREFECT_API_URL": "http://prefect/api",
        "HTTPS_PROXY": "proxy:3128",
        "GH_TOKEN": "t",
        "API_PORT": "9001",
    }
    assert env_file_secrets() == ["other-programs-own"]


@pytest.mark.parametrize(("content", "reason"), [(b"API_PORT=\xff\n", "UTF-8"), (b"API_PORT=many\n", "API_PORT")])
def test_a_wrong_env_file_is_named(env_file: Path, content: bytes, reason: str) -> None:
    env_file.write_bytes(content)
    with pytest.raises(SettingsError, match=reason):
        read_environment(ApiSettings)


def test_a_directory_of_that_name_is_no_env_file(env_file: Path) -> None:
    env_file.mkdir()
    assert read_environment(ApiSettings).api_port == 8080


def test_paths_are_absolute_and_a_tilde_is_the_home(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    env_file.write_text(
        "STATE_DIR=state\nSECRETS_DIR=~/secrets\nAGENT_READ_PATHS=~/.kube, tools\nWORKSPACE_DIR=~/infra\n"
        'WORKSPACES={"a": {"remote": "git@host:a.git"}, "b": {"remote": "../b"}, "c": {"remote": "https://h/c"}}\n'
    )
    agent = read_environment(AgentSettings)
    assert agent.state_dir == env_file.parent / "state"
    assert agent.agent_read_paths == [Path("/home/somebody/.kube"), env_file.parent / "tools"]
    assert agent.workspace_dir == "/home/somebody/infra"
    remotes = [config.remote for config in agent.workspaces.values()]
    assert remotes == ["git@host:a.git", str(env_file.parent / "../b"), "https://h/c"]
    assert read_environment(HostSettings).secrets_dir == Path("/home/somebody/secrets")


@pytest.mark.parametrize("written", ["sk-ant-key\n", " sk-ant-key ", "sk-ant-key\r\n"])
def test_white_space_around_a_key_is_not_part_of_it(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", written)
    monkeypatch.setenv("API_BEARER_TOKEN", written)
    key, token = read_environment(AgentSettings).anthropic_api_key, read_environment(ApiSettings).api_bearer_token
    assert key is not None
    assert token is not None
    assert key.get_secret_value() == token.get_secret_value() == "sk-ant-key"


@pytest.mark.parametrize("written", ["sk-ant\nkey", "sk ant", "'sk-ant-key'", '"sk-ant-key"', "sk-ant-k\u200bey"])
def test_what_cannot_be_a_key_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("CLAUDE_CODE_OAUTH_TOKEN", written)
    with pytest.raises(SettingsError, match="CLAUDE_CODE_OAUTH_TOKEN") as refused:
        read_environment(AgentSettings)
    assert "sk" not in str(refused.value)


@pytest.mark.parametrize("url", ["api.example.com", "ftp://api.example.com", "https://", "localhost:8080"])
def test_an_address_of_the_model_is_a_url(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
    with pytest.raises(SettingsError, match="ANTHROPIC_BASE_URL"):
        read_environment(AgentSettings)


def test_a_user_without_a_home_is_told_to_name_a_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(os, "getuid", lambda: 123_456)  # nobody's in the passwd file
    with pytest.raises(SettingsError, match="STATE_DIR"):
        read_environment(AgentSettings)
