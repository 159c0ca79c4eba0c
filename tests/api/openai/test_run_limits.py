"""What a chat caller may say about its run: lower limits, and what goes onto it."""

from typing import Any

import httpx
import pytest
from fake_host import FakeHost

HELLO = [{"role": "user", "content": "Hello"}]


async def complete(client: httpx.AsyncClient, headers: dict[str, str] | None = None, **members: Any) -> httpx.Response:
    return await client.post("/v1/chat/completions", json={"messages": HELLO} | members, headers=headers)


@pytest.mark.parametrize(
    ("headers", "metadata", "budget", "timeout"),
    [
        ({}, None, 2.0, 900),
        ({"x-max-budget-usd": "0.5", "x-timeout-seconds": "30"}, None, 0.5, 30),
        ({}, {"max_budget_usd": "0.5", "timeout_seconds": 30}, 0.5, 30),
        ({"x-max-budget-usd": "0.5"}, {"max_budget_usd": 0.25}, 0.25, 900),
        ({"x-max-budget-usd": "100", "x-timeout-seconds": "100000"}, {"timeout_seconds": 1e9}, 2.0, 900),
        ({"x-timeout-seconds": "30.0"}, {"max_budget_usd": None}, 2.0, 30),
    ],
)
async def test_a_caller_lowers_budget_and_time_and_never_raises_them(
    client: httpx.AsyncClient, host: FakeHost, headers: dict[str, str], metadata: Any, budget: float, timeout: int
) -> None:
    answer = await complete(client, headers, metadata=metadata)
    assert answer.status_code == 200, answer.text
    request = host.inline_runs[0]["request"]
    assert (request.max_budget_usd, request.timeout_seconds) == (budget, timeout)


async def test_one_who_asked_is_told_what_holds(client: httpx.AsyncClient) -> None:
    answer = await complete(client, {"x-max-budget-usd": "100", "x-timeout-seconds": "7"})
    assert (answer.headers["x-max-budget-usd"], answer.headers["x-timeout-seconds"]) == ("2", "7")
    answer = await complete(client, {"x-timeout-seconds": "7"}, stream=True)
    assert answer.headers["x-timeout-seconds"] == "7"
    assert "x-max-budget-usd" not in (await complete(client)).headers


@pytest.mark.parametrize("value", ["", "x", "0", "-1", "nan", "inf", "1e999"])
@pytest.mark.parametrize("header", ["x-max-budget-usd", "x-timeout-seconds"])
async def test_what_is_no_number_is_refused(client: httpx.AsyncClient, host: FakeHost, header: str, value: str) -> None:
    answer = await complete(client, {header: value})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, header)
    assert host.inline_runs == []


@pytest.mark.parametrize("value", [True, [1], {}, "0", 0.5])
async def test_nor_is_it_taken_from_the_metadata(client: httpx.AsyncClient, value: Any) -> None:
    answer = await complete(client, metadata={"timeout_seconds": value})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "metadata.timeout_seconds")


async def test_metadata_goes_onto_the_run(client: httpx.AsyncClient, host: FakeHost) -> None:
    await complete(client, metadata={"ticket": "ops-1"})
    assert host.inline_runs[0]["request"].metadata == {"ticket": "ops-1"}


@pytest.mark.parametrize("metadata", ["x", [], 5, {"a": "x\0"}])
async def test_metadata_that_cannot_be_kept_is_refused(client: httpx.AsyncClient, metadata: Any) -> None:
    answer = await complete(client, metadata=metadata)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "metadata")


@pytest.mark.parametrize(
    ("user", "tags"),
    [
        ("alice", ["trigger:chat", "user:alice"]),
        (" two\nlines\u202e ", ["trigger:chat", "user:twolines"]),
        ("", ["trigger:chat"]),
        (None, ["trigger:chat"]),
        (5, ["trigger:chat"]),
    ],
)
async def test_the_user_is_a_tag_of_the_run(
    client: httpx.AsyncClient, host: FakeHost, user: Any, tags: list[str]
) -> None:
    assert (await complete(client, user=user)).status_code == 200
    assert host.inline_runs[0]["tags"] == tags


@pytest.mark.parametrize("member", ["max_tokens", "max_completion_tokens"])
async def test_a_limit_of_tokens_is_ignored(client: httpx.AsyncClient, host: FakeHost, member: str) -> None:
    """The CLI goes on where a call's limit has cut it: no setting of its bounds the answer."""
    await complete(client)
    await complete(client, **{member: 5})
    assert host.inline_runs[0]["request"] == host.inline_runs[1]["request"]
