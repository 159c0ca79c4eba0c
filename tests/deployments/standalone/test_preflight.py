"""Starts that cannot succeed: each is refused in one line that says what to do."""

import os
from pathlib import Path

import pytest

from agent.domain.errors import NotConfigured
from agent.settings import AgentSettings
from deployments.standalone.api_token import create_token, read_kept_token, token_path
from deployments.standalone.preflight import check_directories, check_embedded_prefect, check_start, prefect_port


@pytest.mark.parametrize("state_dir", ["/proc/nothing", "/dev/null", "/dev/null/state"])
def test_a_state_directory_that_cannot_be_written_is_named(state_dir: str) -> None:
    with pytest.raises(NotConfigured, match=f"STATE_DIR={state_dir} cannot be written") as refused:
        check_directories(Path(state_dir))
    assert "\n" not in str(refused.value)
    assert str(os.geteuid()) in refused.value.remedy


def test_without_a_temporary_directory_the_mount_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(NotConfigured, match="--tmpfs /tmp"):
        check_directories(tmp_path / "state")


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"PREFECT_HOME": "/elsewhere"}, "PREFECT_HOME"),
        ({"PREFECT_SERVER_API_BASE_PATH": "/x"}, "PREFECT_SERVER_API_BASE_PATH"),
        ({"PREFECT_API_KEY": "pnu_x"}, "PREFECT_API_KEY"),
        ({"PREFECT_API_AUTH_STRING": "a:1", "PREFECT_SERVER_API_AUTH_STRING": "a:2"}, "AUTH_STRING"),
        ({"PREFECT_SERVER_API_PORT": "many"}, "PREFECT_SERVER_API_PORT"),
        ({"PREFECT_SERVER_API_PORT": "70000"}, "PREFECT_SERVER_API_PORT"),
    ],
)
def test_what_the_embedded_server_cannot_obey_is_refused_by_name(environ: dict[str, str], name: str) -> None:
    with pytest.raises(NotConfigured, match=name):
        check_embedded_prefect(Path("/state"), environ)


def test_what_it_can_obey_is_not_refused() -> None:
    operators = {"PREFECT_HOME": "/state/prefect", "PREFECT_SERVER_API_HOST": "0.0.0.0", "PREFECT_UI_URL": "https://p"}
    check_embedded_prefect(Path("/state"), operators)
    assert prefect_port({}) == 4200


def test_what_only_agents_lack_is_a_notice(tmp_path: Path) -> None:
    settings = AgentSettings(
        state_dir=tmp_path, workspace_dir=str(tmp_path / "infra"), claude_cli=Path("/nowhere/claude")
    )
    cli, workspace, certificates = check_start(settings, {"NODE_EXTRA_CA_CERTS": "/nowhere/ca.pem"})
    assert "CLAUDE_CLI" in cli
    assert f"WORKSPACE_DIR={tmp_path}/infra: there is no such directory" in workspace
    assert "NODE_EXTRA_CA_CERTS=/nowhere/ca.pem is not used" in certificates


def test_a_proxy_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotConfigured, match="HTTPS_PROXY"):
        check_start(AgentSettings(state_dir=tmp_path), {"HTTPS_PROXY": "ftp://proxy:21"})


def test_a_sandbox_that_cannot_be_built_is_refused_before_any_part_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotConfigured, match="bubblewrap is not installed"):
        check_start(AgentSettings(state_dir=tmp_path, agent_sandbox="bwrap"), {})


def test_a_token_is_created_once_and_only_this_user_can_read_it(tmp_path: Path) -> None:
    assert read_kept_token(tmp_path) is None
    token, is_new = create_token(tmp_path)
    assert (len(token) >= 32, is_new) == (True, True)
    assert create_token(tmp_path) == (token, False)
    assert read_kept_token(tmp_path) == token
    assert token_path(tmp_path).stat().st_mode & 0o077 == 0
