"""A full disk refuses work in the shapes that callers know."""

from __future__ import annotations

import httpx
import pytest
from fake_host import FakeHost

from agent.domain.errors import DiskFull

REASON = "the service's disk is nearly full: no work is taken until there is room; try again later"


@pytest.fixture
def host(host: FakeHost) -> FakeHost:
    host.failure = DiskFull()
    return host


async def test_execute_is_refused_with_a_string_and_a_time_to_come_back(client: httpx.AsyncClient) -> None:
    answer = await client.post("/execute", json={"agent": "a", "prompt": "p"})
    assert (answer.status_code, answer.json()) == (503, {"detail": REASON})
    assert answer.headers["retry-after"] == "60"


async def test_a_chat_is_refused_as_execution_failed(client: httpx.AsyncClient) -> None:
    body = {"messages": [{"role": "user", "content": "p"}]}
    answer = await client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 503
    assert answer.json()["detail"] == REASON
    assert answer.json()["error"]["message"].startswith("execution failed")
    assert answer.json()["error"]["code"] == "disk_full"
    assert answer.headers["retry-after"] == "60"
