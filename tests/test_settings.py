"""Settings: each is in .env.example, with its true default."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from agent.settings import AgentSettings
from api.settings import ApiSettings
from deployments.settings import HostSettings, SettingsError, read_environment
from store.settings import StoreSettings

EXAMPLE = Path(__file__).parents[1] / ".env.example"
CLASSES = [AgentSettings, ApiSettings, HostSettings, StoreSettings]


def fields() -> list[tuple[type[BaseModel], str]]:
    return [(settings, name) for settings in CLASSES for name in settings.model_fields]


@pytest.mark.parametrize(("settings", "name"), fields())
def test_every_setting_is_in_the_example_and_described(settings: type[BaseModel], name: str) -> None:
    lines = EXAMPLE.read_text().splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith(f"# {name.upper()}="))
    assert len(lines[at - 1]) > 10
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
