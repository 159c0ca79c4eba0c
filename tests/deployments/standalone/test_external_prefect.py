"""A Prefect server of the operator whose address or password is wrong."""

import httpx
import pytest
import respx

from agent.domain.errors import NotConfigured
from deployments.standalone.external_prefect import check_external_prefect, read_api_url

SERVER = "http://prefect.example:4200"
PAGE = httpx.Response(200, html="<!doctype html><title>Prefect</title>")
HEALTHY = httpx.Response(200, json=True)


@pytest.mark.parametrize(
    ("written", "url"),
    [(f"{SERVER}/api", f"{SERVER}/api"), (f" {SERVER}/api/\n", f"{SERVER}/api"), ("", None), ("  ", None)],
)
def test_slashes_at_its_end_are_not_part_of_the_address(written: str, url: str | None) -> None:
    assert read_api_url({"PREFECT_API_URL": written}) == url


def test_what_is_no_address_is_refused_without_its_password() -> None:
    with pytest.raises(NotConfigured, match="PREFECT_API_URL") as refused:
        read_api_url({"PREFECT_API_URL": "admin:hunter2@prefect.example/api"})
    assert "http://" in refused.value.remedy


def test_the_address_of_the_ui_is_refused_and_the_apis_is_named(respx_mock: respx.MockRouter) -> None:
    respx_mock.get(f"{SERVER}/health").mock(PAGE)
    respx_mock.get(f"{SERVER}/api/health").mock(HEALTHY)
    with pytest.raises(NotConfigured, match=f"set it to {SERVER}/api"):
        check_external_prefect(SERVER, {})


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({}, "PREFECT_API_AUTH_STRING is not set"),
        ({"PREFECT_API_AUTH_STRING": "admin:hunter2"}, "refuses PREFECT_API_AUTH_STRING"),
        ({"PREFECT_API_KEY": "hunter2"}, "refuses PREFECT_API_KEY"),
    ],
)
def test_a_wrong_password_is_refused_by_its_variable(
    respx_mock: respx.MockRouter, environ: dict[str, str], reason: str
) -> None:
    respx_mock.get(f"{SERVER}/api/health").mock(HEALTHY)
    respx_mock.get(f"{SERVER}/api/admin/version").respond(401)
    with pytest.raises(NotConfigured, match=reason) as refused:
        check_external_prefect(f"{SERVER}/api", environ)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("answer", [httpx.Response(503), PAGE, httpx.ConnectError("refused")])
def test_a_server_that_is_still_starting_is_waited_for(
    respx_mock: respx.MockRouter, answer: httpx.Response | Exception
) -> None:
    respx_mock.get(f"{SERVER}/api/health").mock(side_effect=[answer])
    check_external_prefect(f"{SERVER}/api", {})


def test_a_right_password_passes(respx_mock: respx.MockRouter) -> None:
    respx_mock.get(f"{SERVER}/api/health").mock(HEALTHY)
    version = respx_mock.get(f"{SERVER}/api/admin/version").respond(200, json="3.8.8")
    check_external_prefect(f"{SERVER}/api", {"PREFECT_API_AUTH_STRING": "admin:secret"})
    assert version.calls.last.request.headers["authorization"] == "Basic YWRtaW46c2VjcmV0"
