"""What is not of its type is refused, even where Python would take it for something."""

from typing import Any

import pytest
from fake_host import FakeHost, client_of
from prefect.states import Completed

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize("member", ["stream", "include_reasoning", "logprobs"])
@pytest.mark.parametrize("value", [0, 1, "true"])
async def test_a_number_or_a_word_is_no_boolean_of_a_chat(host: FakeHost, member: str, value: Any) -> None:
    async with client_of(host) as client:
        answer = await client.post("/v1/chat/completions", json={"messages": HELLO, member: value})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, member)


@pytest.mark.parametrize("member", ["n", "top_logprobs"])
async def test_a_boolean_is_no_number_of_a_chat(host: FakeHost, member: str) -> None:
    async with client_of(host) as client:
        answer = await client.post("/v1/chat/completions", json={"messages": HELLO, member: True})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, member)


@pytest.mark.parametrize("moment", ["0.5", "1700000000", "inf"])
async def test_a_number_is_no_moment(host: FakeHost, moment: str) -> None:
    job = {"prompt": "x", "agent": "y"}
    async with client_of(host) as client:
        assert (await client.get("/jobs", params={"since": moment})).status_code == 422
        assert (await client.post("/execute", json=job | {"run_at": moment})).status_code == 422
        assert (await client.post("/execute", json=job | {"run_at": 1_700_000_000})).status_code == 422
        assert (await client.post("/execute", json=job | {"run_at": "2100-01-01T00:00:00+01:00"})).status_code == 202


async def test_a_job_that_no_agent_could_have_is_not_done_again(host: FakeHost) -> None:
    run_id = host.add_run({"agent": "--version"}, Completed())
    async with client_of(host) as client:
        answer = await client.post(f"/jobs/{run_id}/rerun")
    assert answer.status_code == 409
    assert "is not valid any more: prompt: Field required" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/jobs?offset={}", "/jobs/01a20362-4eb2-764f-9b61-b1ae174d4ae1/transcript?after={}"])
async def test_a_number_that_no_database_holds_is_refused(host: FakeHost, path: str) -> None:
    async with client_of(host) as client:
        assert (await client.get(path.format(2**63))).status_code == 422
