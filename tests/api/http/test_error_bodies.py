"""Errors that no route makes itself, and the old form of those under /v1."""

import logging
from typing import Any

import httpx
import pytest
from fake_host import TOKEN, FakeHost, client_of, settings

from agent.domain.errors import AgentBusy
from agent.domain.result import Outcome

HELLO = {"messages": [{"role": "user", "content": "Hello"}]}
CHAT = "/v1/chat/completions"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("POST", "/nowhere", 404),
        ("GET", "/execute", 405),
        ("PUT", "/jobs/x", 405),
        ("POST", "/health", 405),
    ],
)
async def test_every_error_carries_detail(client: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert set(answer.json()) == {"detail"}
    assert isinstance(answer.json()["detail"], str)
    assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/nowhere", 404), ("GET", CHAT, 405)])
async def test_under_v1_it_carries_openai_s_object_as_well(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["message"] == answer.json()["detail"]
    assert error["type"] == "invalid_request_error"
    assert error["code"] in {"not_found", "method_not_allowed"}


async def test_under_v1_the_unexpected_is_a_server_error(
    client: httpx.AsyncClient, host: FakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    host.failure = RuntimeError("secret")
    with caplog.at_level(logging.ERROR):
        answer = await client.post(CHAT, json=HELLO, headers={"x-request-id": "r-1"})
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "server_error"
    assert "secret" not in answer.text
    assert "RuntimeError: secret" in caplog.text
    assert "r-1" in caplog.text


@pytest.mark.parametrize(
    ("members", "failure", "error", "detail"),
    [
        ({"model": "gpt-4"}, None, "unsupported model", None),
        ({}, AgentBusy(), "execution failed", "agent is busy"),
        ({}, Outcome(error="exit 1"), "execution failed", "exit 1"),
    ],
)
async def test_the_old_bodies_have_the_bare_words(
    host: FakeHost, members: dict[str, Any], failure: Any, error: str, detail: str | None
) -> None:
    if isinstance(failure, Outcome):
        host.outcome = failure
    else:
        host.failure = failure
    async with client_of(host, settings(legacy_error_bodies=True)) as client:
        body = (await client.post(CHAT, json=HELLO | members)).json()
    assert body["error"] == error
    assert detail is None or body["detail"] == detail
    assert ("supported" in body) == ("model" in members)


async def test_the_old_bodies_are_strings_everywhere_under_v1(host: FakeHost) -> None:
    async with client_of(host, settings(legacy_error_bodies=True)) as client:
        bodies = [(await client.get("/v1/x")).json(), (await client.post(CHAT, json={})).json()]
    async with client_of(host, settings(legacy_error_bodies=True), token="wrong") as client:
        bodies.append((await client.get("/v1/x")).json())
    assert [type(body["error"]) for body in bodies] == [str, str, str]


@pytest.mark.parametrize("request_id", ["r-1", "a" * 128, "0af7651916cd43dd:b7ad.6b"])
async def test_a_caller_s_request_id_is_given_back(client: httpx.AsyncClient, request_id: str) -> None:
    answer = await client.get("/health", headers={"x-request-id": request_id})
    assert answer.headers["x-request-id"] == request_id


@pytest.mark.parametrize("request_id", ["", "a b", "a" * 129, "é", "-x", "a\tb", '"'])
async def test_one_that_could_spoil_a_log_is_replaced(client: httpx.AsyncClient, request_id: str) -> None:
    answer = await client.get("/nowhere", headers={"x-request-id": request_id.encode()})
    assert len(answer.headers["x-request-id"]) == 32


async def test_refused_requests_have_an_id_too(host: FakeHost) -> None:
    async with client_of(host, token=None) as client:
        answer = await client.get("/jobs/x")
    assert answer.status_code == 401
    assert answer.headers["x-request-id"]
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_metrics_are_opened_by_a_setting(host: FakeHost) -> None:
    async with client_of(host, token=None) as client:
        assert (await client.get("/metrics")).status_code == 401
    async with client_of(host, settings(metrics_open=True), token=None) as client:
        assert (await client.get("/metrics")).status_code != 401


async def test_the_description_is_open_and_says_what_to_expect(host: FakeHost) -> None:
    async with client_of(host, token=None) as client:
        described = (await client.get("/openapi.json")).json()
        assert (await client.get("/docs")).status_code == 200
    paths = described["paths"]
    assert set(paths["/execute"]["post"]["responses"]) == {"202", "401", "409", "413", "422", "429", "503"}
    assert set(paths["/jobs/{job_id}"]["get"]["responses"]) == {"200", "401", "404", "422", "503"}
    assert set(paths["/jobs/{job_id}/events"]["get"]["responses"]) == {"200", "204", "400", "401", "404", "503"}
    assert set(paths["/jobs/{job_id}/cancel"]["post"]["responses"]) == {"200", "401", "404", "503"}
    assert set(paths["/register"]["post"]["responses"]) == {"200", "401", "422", "503"}
    assert set(paths[CHAT]["post"]["responses"]) == {"200", "400", "401", "413", "503"}
    assert paths["/execute"]["post"]["security"] == [{"bearer": []}]
    assert "security" not in paths["/health"]["get"]
    job = described["components"]["schemas"]["JobRequest"]
    assert job["required"] == ["prompt", "agent"]
    assert job["properties"]["max_budget_usd"]["maximum"] == 1000
    assert job["properties"]["timeout_seconds"]["maximum"] == 86_400
    assert TOKEN not in str(described)
