"""The provider is asked, for free, if it accepts the credential."""

from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from pydantic import SecretStr

from agent.provider.credential_check import check_credential
from agent.settings import AgentSettings

BASE = "http://provider.example"
KEY = "sk-ant-hunter2hunter2"


def error(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}}


def settings(**fields: Any) -> AgentSettings:
    return AgentSettings(state_dir=Path("/state"), anthropic_base_url=f"{BASE}/", **fields)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (httpx.Response(200, json={"data": []}), "accepted"),
        (httpx.Response(401, json=error("authentication_error", f"invalid x-api-key {KEY}")), "refused"),
        (httpx.Response(401, json=error("authentication_error", "OAuth is not supported here")), "unknown"),
        (httpx.Response(404, json=error("not_found_error", "no such route")), "unknown"),
        (httpx.Response(401, text="a gateway's own page"), "unknown"),
        (httpx.Response(529, json=error("overloaded_error", "overloaded")), "unknown"),
        (httpx.ConnectError("refused"), "unreachable"),
    ],
)
def test_only_a_refused_credential_is_a_problem(
    respx_mock: respx.MockRouter, answer: httpx.Response | Exception, verdict: str
) -> None:
    route = respx_mock.get(f"{BASE}/v1/models").mock(side_effect=[answer])
    found = check_credential(settings(anthropic_api_key=SecretStr(KEY)), {})
    assert found.verdict == verdict
    assert (found.problem is not None) == (verdict == "refused")
    assert "hunter2" not in str(found)
    assert route.calls.last.request.headers["x-api-key"] == KEY


def test_a_token_is_sent_as_the_cli_sends_it(respx_mock: respx.MockRouter) -> None:
    route = respx_mock.get(f"{BASE}/v1/models").respond(200, json={})
    assert check_credential(settings(claude_code_oauth_token=SecretStr(KEY)), {}).verdict == "accepted"
    assert route.calls.last.request.headers["authorization"] == f"Bearer {KEY}"
