"""Kinds of clients, by what they do beside the ordinary; each in plain HTTP, against the running service."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Protocol

import httpx
import pytest
from schema_shapes import pydantic_schemas

pytestmark = pytest.mark.long  # tests/api has each of them without the CLI

CHAT = "/v1/chat/completions"


class Service(Protocol):
    """The fixture `service`, as these tests use it."""

    client: httpx.AsyncClient


def hello(prompt: str, **members: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": prompt}]} | members


@pytest.mark.client("curl -d, a form's content type")
@pytest.mark.shows("answer")
async def test_json_under_another_content_type(service: Service, script: Any) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = await service.client.post(f"{CHAT}/", content=json.dumps(hello(script({"text": "pong"}))), headers=headers)
    assert answer.json()["choices"][0]["message"]["content"] == "pong"


@pytest.mark.client("Java, an offer of HTTP/2")
@pytest.mark.shows("answer")
async def test_an_offer_of_http_2(service: Service, script: Any) -> None:
    headers = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2-settings": "AAEAAEAAAAIAAAABAAMAAABk"}
    answer = await service.client.post(CHAT, json=hello(script({"text": "pong"})), headers=headers)
    assert answer.json()["choices"][0]["message"]["content"] == "pong"


@pytest.mark.client("ReAct, a stop sequence")
@pytest.mark.shows("stream")
async def test_a_stop_sequence(service: Service, script: Any) -> None:
    prompt = script({"text": "Thought: look\nObservation: nothing", "chunks": 8})
    answer = await service.client.post(CHAT, json=hello(prompt, stop=["\nObservation:"], stream=True))
    *events, done = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    deltas = [choice["delta"] for event in events for choice in json.loads(event)["choices"]]
    assert ("".join(delta.get("content") or "" for delta in deltas), done) == ("Thought: look", "[DONE]")


@pytest.mark.client("pydantic, all kinds of fields")
@pytest.mark.shows("structured")
async def test_a_wide_schema(service: Service, script: Any) -> None:
    schema = next(one for one in pydantic_schemas() if one.get("title") == "Inside")
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    answer = await service.client.post(CHAT, json=hello("a form, please", response_format=form))
    assert isinstance(json.loads(answer.json()["choices"][0]["message"]["content"])["pair"], list)


@pytest.mark.client("any, that repeats a failure")
@pytest.mark.shows("retries: one run")
async def test_a_failure_that_is_asked_for_again(service: Service, script: Any, runs_of: Callable[[str], int]) -> None:
    prompt = script({"error": {"status": 400}})
    answers = [await service.client.post(CHAT, json=hello(prompt)) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {503}
    assert len({answer.headers["x-flow-run-id"] for answer in answers}) == runs_of(prompt) == 1


@pytest.mark.client("any, that hangs up and asks again")
@pytest.mark.shows("retries: one run")
async def test_a_timeout_that_is_followed_by_the_same_request(
    service: Service, script: Any, runs_of: Callable[[str], int]
) -> None:
    prompt = script({"text": "pong", "delay_ms": 3000})
    headers = {"x-stainless-retry-count": "0"}
    asking = asyncio.create_task(service.client.post(CHAT, json=hello(prompt), headers=headers))
    async with asyncio.timeout(60):
        while not runs_of(prompt):
            await asyncio.sleep(0.1)
    asking.cancel()
    answer = await service.client.post(CHAT, json=hello(prompt), headers=headers)
    assert answer.json()["choices"][0]["message"]["content"] == "pong"
    assert runs_of(prompt) == 1
