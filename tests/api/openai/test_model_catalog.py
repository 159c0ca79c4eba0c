"""GET /v1/models, and ids that choose an agent."""

from typing import Any

import httpx
import pytest
from fake_host import FakeHost, client_of, settings

MODELS = ["claude-haiku-4-5", "claude-opus-4-7", "claude-sonnet-4-6", "haiku", "opus", "sonnet"]
HELLO = [{"role": "user", "content": "Hello"}]
EXPOSED = settings(
    openai_compat_agents="clerk,haiku",
    openai_compat_agent="porter",
    supported_models="haiku,opus",
    default_model="opus",
)


async def complete(client: httpx.AsyncClient, **members: Any) -> httpx.Response:
    return await client.post("/v1/chat/completions", json={"messages": HELLO} | members)


async def test_the_list_has_every_model_once(client: httpx.AsyncClient) -> None:
    body = (await client.get("/v1/models")).json()
    assert body["object"] == "list"
    assert [model["id"] for model in body["data"]] == MODELS
    assert {model["object"] for model in body["data"]} == {"model"}
    assert all(isinstance(model["created"], int) and model["owned_by"] for model in body["data"])


async def test_exposed_agents_are_in_the_list_alone_and_with_each_model(host: FakeHost) -> None:
    async with client_of(host, EXPOSED) as client:
        ids = [model["id"] for model in (await client.get("/v1/models")).json()["data"]]
    assert ids == ["clerk", "clerk/haiku", "clerk/opus", "haiku", "haiku/haiku", "haiku/opus", "opus"]


@pytest.mark.parametrize("name", ["clerk/haiku", "clerk%2Fhaiku", "opus"])
async def test_one_model_is_found_by_its_id(host: FakeHost, name: str) -> None:
    async with client_of(host, EXPOSED) as client:
        answer = await client.get(f"/v1/models/{name}")
    assert (answer.status_code, answer.json()["id"]) == (200, name.replace("%2F", "/"))


@pytest.mark.parametrize("name", ["gpt-4", "clerk", "clerk/haiku", "%00", "x" * 5000])
async def test_an_unlisted_one_is_not_found(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get(f"/v1/models/{name}")
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert answer.json()["supported"] == MODELS


async def test_models_want_the_token(host: FakeHost) -> None:
    async with client_of(host, token=None) as client:
        assert [(await client.get(path)).status_code for path in ("/v1/models", "/v1/models/opus")] == [401, 401]


@pytest.mark.parametrize(
    ("asked", "agent", "model"),
    [
        (None, "porter", "opus"),
        ("haiku", "porter", "haiku"),
        ("clerk", "clerk", None),
        ("clerk/haiku", "clerk", "haiku"),
        ("haiku/opus", "haiku", "opus"),
    ],
)
async def test_an_id_chooses_an_agent_a_model_or_both(
    host: FakeHost, asked: str | None, agent: str, model: str | None
) -> None:
    async with client_of(host, EXPOSED) as client:
        answer = await complete(client, model=asked)
    assert answer.json()["model"] == (asked or "opus")
    request = host.inline_runs[0]["request"]
    assert (request.agent, request.model) == (agent, model)


@pytest.mark.parametrize("asked", ["porter", "porter/opus", "clerk/sonnet", "clerk/", "/opus", "clerk/haiku/opus"])
async def test_nothing_else_can_be_chosen(host: FakeHost, asked: str) -> None:
    async with client_of(host, EXPOSED) as client:
        assert (await complete(client, model=asked)).json()["error"]["code"] == "model_not_found"
    assert host.inline_runs == []
