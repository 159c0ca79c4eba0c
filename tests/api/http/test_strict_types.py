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


@pytest.mark.parametrize("number", ["1e400", "-1e400", "9" * 5000, "1e308", "123456789012345678901234567890"])
@pytest.mark.parametrize("member", ["timeout_seconds", "max_budget_usd", "max_turns", "prompt"])
async def test_a_number_past_all_bounds_is_refused(host: FakeHost, member: str, number: str) -> None:
    given = {"prompt": '"x"', "agent": '"a"'} | {member: number}
    body = "{" + ", ".join(f'"{name}": {value}' for name, value in given.items()) + "}"
    async with client_of(host) as client:
        answer = await client.post("/execute", content=body)
        assert answer.status_code == 422, answer.text
        chat = f'{{"messages": [{{"role": "user", "content": "x"}}], "n": {number}, "stop": {number}}}'
        assert (await client.post("/v1/chat/completions", content=chat)).status_code == 400
    assert host.submitted == []


@pytest.mark.parametrize(
    "moment",
    [
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T00:00:00Z",
        "1969-12-31T00:00:00Z",
    ],
)
async def test_a_moment_past_all_calendars_is_refused(host: FakeHost, moment: str) -> None:
    async with client_of(host) as client:
        answer = await client.post("/execute", json={"prompt": "x", "agent": "a", "run_at": moment})
        assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "run_at"])
        assert (await client.get("/jobs", params={"since": moment})).status_code == 422


async def test_members_that_are_ignored_are_named(host: FakeHost) -> None:
    job = {"prompt": "x", "agent": "a", "timeout_second": 5, "unheard_of": 1}
    async with client_of(host) as client:
        answer = await client.post("/execute", json=job)
        assert (answer.status_code, answer.json()["status"]) == (202, "running")
        assert answer.json()["warnings"] == [
            "unknown member `timeout_second` is ignored; did you mean `timeout_seconds`?",
            "unknown member `unheard_of` is ignored",
        ]
        assert set((await client.post("/execute", json={"prompt": "x", "agent": "a"})).json()) == {
            "job_id",
            "status",
            "flow_run_url",
        }
