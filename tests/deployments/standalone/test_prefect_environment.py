"""What the embedded Prefect server and its clients are told, and what they are not."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prefect.settings import Settings
from prefect.settings.models.root import _get_settings_accessors

from agent.domain.errors import NotConfigured
from agent.system.http import http_origin
from deployments.settings import HostSettings
from deployments.standalone.prefect_environment import (
    _OLD_NAMES,
    auth_string,
    chosen_environment,
    client_environment,
    process_environment,
    server_environment,
    shared_environment,
)
from deployments.standalone.supervisor import supervise

STATE = Path("/var/lib/service")
SERVER = server_environment(STATE, "127.0.0.1", 4200, "admin:secret")
CHOSEN = chosen_environment(HostSettings(log_format="json", run_retention_days=3))
CLIENT = client_environment("http://127.0.0.1:4200/api", "admin:secret", STATE / "client", "local-file-system/results")


@pytest.mark.parametrize("name", sorted(SERVER.keys() | CHOSEN.keys() | CLIENT.keys()))
def test_each_variable_is_one_that_prefect_reads(name: str) -> None:
    assert name == "DO_NOT_TRACK" or name in _get_settings_accessors(Settings)


def test_the_password_is_made_once_and_nobody_else_can_read_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = set(threads.map(lambda _: auth_string(tmp_path), range(8)))
    (password,) = made
    assert password.startswith("admin:")
    assert len(password) >= 32
    (file,) = (tmp_path / "prefect").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert auth_string(tmp_path / "other") != password


def test_the_server_inherits_no_secret_of_the_service() -> None:
    secrets = {"API_BEARER_TOKEN": "t", "ANTHROPIC_API_KEY": "k", "DATABASE_URL": "d", "GH_TOKEN": "g"}
    environment = process_environment(SERVER, {"PATH": "/bin", **secrets})
    assert environment == {"PATH": "/bin", **SERVER}


def test_the_services_settings_reach_the_server_unless_an_operator_said_otherwise() -> None:
    retention = "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD"
    assert process_environment(SERVER, CHOSEN)[retention] == "259200"
    assert process_environment(SERVER, {**CHOSEN, retention: "7200"})[retention] == "7200"
    assert Path(CHOSEN["PREFECT_LOGGING_SETTINGS_PATH"]).is_file()


def test_an_operators_own_settings_win_but_for_what_the_server_was_started_with() -> None:
    operators = {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": "postgresql+asyncpg://db/prefect",
        "PREFECT_SERVER_LOGGING_LEVEL": "DEBUG",
        "PREFECT_HOME": "/elsewhere",
        "PREFECT_SERVER_API_PORT": "1",
        "PREFECT_SERVER_API_AUTH_STRING": "theirs",
        "PREFECT_API_URL": "http://elsewhere/api",
    }
    environment = process_environment(SERVER, operators)
    assert environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"] == "postgresql+asyncpg://db/prefect"
    assert environment["PREFECT_SERVER_LOGGING_LEVEL"] == "DEBUG"
    assert environment["PREFECT_HOME"] == "/var/lib/service/prefect"
    assert environment["PREFECT_SERVER_API_PORT"] == "4200"
    assert environment["PREFECT_SERVER_API_AUTH_STRING"] == "admin:secret"
    assert "PREFECT_API_URL" not in environment


def test_an_operators_setting_under_an_older_name_is_not_overridden_by_ours() -> None:
    operators = {"PREFECT_UI_API_URL": "https://prefect/api", "PREFECT_API_SERVICES_LATE_RUNS_AFTER_SECONDS": "9"}
    environment = process_environment(SERVER, operators)
    assert "PREFECT_SERVER_UI_API_URL" not in environment
    assert "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS" not in environment
    assert operators.items() <= environment.items()


@pytest.mark.parametrize("name", [*_OLD_NAMES, *(name for name in SERVER if "_SERVICES_" in name)])
def test_every_older_name_is_prefects_own(name: str) -> None:
    old = _OLD_NAMES.get(name, name.replace("PREFECT_SERVER_SERVICES_", "PREFECT_API_SERVICES_"))
    accessors = _get_settings_accessors(Settings)
    names = {other for other, accessor in accessors.items() if accessor == accessors[name] and other.isupper()}
    assert names - {name} <= {old}


def test_the_operators_password_and_address_are_the_embedded_servers(tmp_path: Path) -> None:
    assert auth_string(tmp_path, {"PREFECT_SERVER_API_AUTH_STRING": "me:mine"}) == "me:mine"
    assert auth_string(tmp_path, {"PREFECT_API_AUTH_STRING": "me:mine"}) == "me:mine"
    assert not (tmp_path / "prefect").exists()
    behind = {"PREFECT_SERVER_UI_SERVE_BASE": "/prefect", "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true"}
    client = client_environment("http://127.0.0.1:4200/api", "me:mine", STATE, operators=behind)
    assert client["PREFECT_UI_URL"] == "http://127.0.0.1:4200/prefect/v2"
    assert client["PREFECT_CLIENT_CSRF_SUPPORT_ENABLED"] == "true"


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1", "http://127.0.0.1:4200"),
        ("0.0.0.0", "http://127.0.0.1:4200"),
        ("::1", "http://[::1]:4200"),
        ("::", "http://[::1]:4200"),
        ("prefect.internal", "http://prefect.internal:4200"),
    ],
)
def test_a_server_is_addressed_where_it_can_be_reached(host: str, origin: str) -> None:
    assert http_origin(host, 4200) == origin


def test_a_host_on_an_operators_server_beats_as_often_and_keeps_what_the_operator_says() -> None:
    shared = shared_environment(STATE / "prefect")
    assert shared["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == CLIENT["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]
    assert shared["PREFECT_HOME"] == str(STATE / "prefect")
    assert not {"PREFECT_API_URL", "PREFECT_API_AUTH_STRING"} & set(shared)


def test_a_host_alone_needs_to_be_told_of_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with pytest.raises(NotConfigured, match="PREFECT_API_URL"):
        supervise(STATE, "host")
