"""POST /execute: what it takes, what it passes on, and how it refuses."""

import json
from typing import Any

import httpx
import pytest
from fake_host import FakeHost, client_of, result
from prefect.states import Completed

from agent.domain.request import AgentRequest
from agent.domain.result import Outcome
from deployments.prefect_client.calls import PrefectUnavailable
from store.errors import StoreUnavailable

JOB = {"prompt": "Upgrade redis.", "agent": "service-upgrade"}


async def execute(client: httpx.AsyncClient, **members: Any) -> httpx.Response:
    return await client.post("/execute", json=JOB | members)


def locations(answer: httpx.Response) -> list[list[str | int]]:
    assert answer.status_code == 422, answer.text
    return [error["loc"] for error in answer.json()["detail"]]


async def test_a_job_is_accepted_with_the_defaults(client: httpx.AsyncClient, host: FakeHost) -> None:
    answer = await execute(client)
    assert answer.status_code == 202
    assert answer.json() == {"job_id": str(*host.flow_runs), "status": "running", "flow_run_url": None}
    assert answer.headers["x-flow-run-id"] == answer.json()["job_id"]
    request, tags = host.submitted[0]
    assert request == AgentRequest(**JOB, max_budget_usd=5.0, timeout_seconds=2700)
    assert tags == ["trigger:execute"]


async def test_all_that_can_be_asked_is_passed_on(client: httpx.AsyncClient, host: FakeHost) -> None:
    asked = {
        "max_budget_usd": 0.5,
        "timeout_seconds": 60,
        "metadata": {"ticket": "ops-1", "nested": {"list": [1, None, True]}},
        "model": "opus",
        "effort": "high",
        "json_schema": {"type": "object", "properties": {"n": {"type": "integer"}}},
        "max_turns": 7,
        "workspace": "infra",
        "ref": "release/1.2",
        "strict_workspace": True,
    }
    assert (await execute(client, **asked, tags=["nightly"])).status_code == 202
    request, tags = host.submitted[0]
    assert request.model_dump(include=set(asked)) == asked
    assert tags == ["trigger:execute", "nightly"]


async def test_an_unknown_workspace_is_refused_with_the_list(client: httpx.AsyncClient, host: FakeHost) -> None:
    answer = await execute(client, workspace="nowhere")
    assert locations(answer) == [["body", "workspace"]]
    assert answer.json()["detail"][0]["msg"] == "Input should be one of: default, infra"
    assert host.submitted == []


async def test_unknown_members_are_ignored(client: httpx.AsyncClient, host: FakeHost) -> None:
    answer = await execute(client, priority_class="gold", input_id="someone-else's", instructions="x")
    assert answer.status_code == 202
    assert host.submitted[0][0] == AgentRequest(**JOB)


async def test_an_agent_that_does_not_exist_is_refused_with_those_that_do(
    client: httpx.AsyncClient, host: FakeHost
) -> None:
    host.workspaces.known = ["service-upgrade", "release notes"]
    for known in ("service-upgrade", ".claude/agents/release notes", ".claude/agents/service-upgrade.md", "Plan"):
        assert (await execute(client, agent=known)).status_code == 202
    answer = await execute(client, agent="service-updgrade")
    assert locations(answer) == [["body", "agent"]]
    assert answer.json()["detail"][0]["msg"].endswith(
        "there are: Explore, Plan, claude, general-purpose, release notes, service-upgrade, statusline-setup"
    )
    assert host.workspaces.syncs[-2:] == [False, True]  # one that was pushed a moment ago is looked for at the remote
    assert (await execute(client, agent="plugin:agent")).status_code == 202


async def test_the_same_agent_is_looked_up_once(client: httpx.AsyncClient, host: FakeHost) -> None:
    host.workspaces.known = ["service-upgrade"]
    for _ in range(3):
        await execute(client)
    assert host.workspaces.syncs == [False]


async def test_jobs_are_made_and_ended_by_the_verbs_that_clients_guess(
    client: httpx.AsyncClient, host: FakeHost
) -> None:
    made = await client.post("/jobs", json=JOB)
    assert (made.status_code, made.headers["location"]) == (202, f"/jobs/{made.json()['job_id']}")
    assert (await execute(client)).headers["location"].startswith("/jobs/")
    host.add_run(AgentRequest(**JOB), Completed(), Outcome(result=result()))
    *_, over = host.flow_runs
    ended = await client.delete(f"/jobs/{over}")
    assert (ended.status_code, ended.json()["status"]) == (200, "completed")
    assert (await client.delete("/jobs/nothing")).status_code == 404


@pytest.mark.parametrize("agent", ["service-upgrade", ".claude/agents/service-upgrade", ".claude/agents/a b.md", "ünï"])
async def test_an_agent_is_a_name_or_a_path(client: httpx.AsyncClient, host: FakeHost, agent: str) -> None:
    assert (await execute(client, agent=agent)).status_code == 202
    assert host.submitted[0][0].agent == agent


@pytest.mark.parametrize(
    "agent", ["", " ", "-x", "--mcp-config=/tmp/evil.json", "../x", "a/../b", "a\0b", "a\nb", "a" * 201, 5, None, ["a"]]
)
async def test_an_agent_that_could_mean_something_else_is_refused(client: httpx.AsyncClient, agent: Any) -> None:
    assert locations(await execute(client, agent=agent)) == [["body", "agent"]]


@pytest.mark.parametrize("missing", ["prompt", "agent"])
async def test_a_missing_member_is_named(client: httpx.AsyncClient, missing: str) -> None:
    answer = await client.post("/execute", json={name: JOB[name] for name in JOB if name != missing})
    assert locations(answer) == [["body", missing]]
    assert answer.json()["detail"][0]["type"] == "missing"


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("prompt", 5),
        ("prompt", ""),
        ("prompt", " \n"),
        ("prompt", "a\0b"),
        ("prompt", None),
        ("max_budget_usd", 0),
        ("max_budget_usd", -5),
        ("max_budget_usd", 1000.01),
        ("max_budget_usd", "much"),
        ("max_budget_usd", "inf"),
        ("max_budget_usd", "nan"),
        ("max_budget_usd", True),
        ("max_budget_usd", None),
        ("max_budget_usd", 10**400),
        ("timeout_seconds", 0),
        ("timeout_seconds", 86_401),
        ("timeout_seconds", 1.5),
        ("timeout_seconds", 1e300),
        ("timeout_seconds", 10**400),
        ("timeout_seconds", False),
        ("metadata", []),
        ("metadata", "x"),
        ("metadata", {"a": 2**63}),
        ("metadata", {"a": "\0"}),
        ("metadata", {"\0": "a"}),
        ("metadata", {"a": "b" * 100_001}),
        ("metadata", {"a": "é" * 20_000}),
        ("effort", "huge"),
        ("max_turns", 0),
        ("json_schema", {"type": "nope"}),
        ("json_schema", {"type": "array"}),
        ("json_schema", {"properties": {"n": {"type": "nope"}}}),
        ("json_schema", {"$ref": "http://127.0.0.1/schema.json"}),
        ("json_schema", {"allOf": [{"$ref": "file:///etc/passwd"}]}),
        ("model", "--version"),
        ("workspace", "../etc"),
        ("ref", "--upload-pack=x"),
        ("tags", "nightly"),
        ("tags", ["trigger:schedule"]),
        ("tags", ["x"] * 21),
    ],
)
async def test_a_wrong_member_is_named(client: httpx.AsyncClient, host: FakeHost, member: str, value: Any) -> None:
    assert {tuple(location[:2]) for location in locations(await execute(client, **{member: value}))} == {
        ("body", member)
    }
    assert host.submitted == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"5",
        b'"text"',
        b"[]",
        b"{",
        b"{'prompt': 'x'}",
        b"not json",
        b'{"prompt": "x", "agent": "a", "max_budget_usd": NaN}',
        b'{"prompt": "x", "agent": "a", "max_budget_usd": Infinity}',
        b'{"prompt": "x", "agent": "a", "metadata": {"a": 1e999}}',
        b'{"prompt": "x", "agent": "a", "metadata": {"a": -Infinity}}',
        b'{"prompt": "\\ud800", "agent": "a"}',
        b'{"prompt": "x", "agent": "a", "metadata": {"\\udfff": 1}}',
        b'{"prompt": "\xff", "agent": "a"}',
        b'{"prompt": "\xed\xa0\x80", "agent": "a"}',
        b'{"prompt": "x", "agent": "a", "metadata": ' + b'{"a":' * 65 + b"1" + b"}" * 65 + b"}",
        b'{"prompt": "x", "agent": "a", "metadata": ' + b"[" * 100_000,
        b'{"prompt": "x", "agent": "a", "timeout_seconds": ' + b"9" * 5000 + b"}",
        '{"prompt": "x", "agent": "a"}'.encode("utf-16"),
    ],
)
async def test_what_is_not_a_json_object_of_ours_is_a_422(
    client: httpx.AsyncClient, host: FakeHost, body: bytes
) -> None:
    answer = await client.post("/execute", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], list)
    assert len(answer.content) < 10_000
    assert host.submitted == []


@pytest.mark.parametrize(
    "members", [{"prompt": "\n" * 100_000}, {"metadata": ["x" * 100_000]}, {"agent": "a" * 100_000}]
)
async def test_a_refusal_does_not_repeat_what_it_refuses(client: httpx.AsyncClient, members: dict[str, Any]) -> None:
    answer = await execute(client, **members)
    assert len(locations(answer)) == 1
    assert len(answer.content) < 2000


async def test_a_body_without_a_content_type_is_read_all_the_same(client: httpx.AsyncClient) -> None:
    assert (await client.post("/execute", content=json.dumps(JOB).encode())).status_code == 202


async def test_a_byte_order_mark_is_no_error(client: httpx.AsyncClient) -> None:
    assert (await client.post("/execute", content=b"\xef\xbb\xbf" + json.dumps(JOB).encode())).status_code == 202


async def test_a_two_megabyte_prompt_is_accepted(client: httpx.AsyncClient, host: FakeHost) -> None:
    prompt = "é" * 1_000_000
    assert (await execute(client, prompt=prompt)).status_code == 202
    assert host.submitted[0][0].prompt == prompt


async def test_with_nothing_free_and_nothing_to_wait_the_agent_is_busy(host: FakeHost) -> None:
    host.settings = host.settings.model_copy(update={"max_queue_depth": 0})
    for _ in range(host.slots):
        await host.runtime.slots.acquire()
    async with client_of(host) as client:
        answer = await execute(client)
    assert (answer.status_code, answer.json()) == (409, {"detail": "Agent is busy"})


async def test_prefect_away_is_a_503_with_the_reason(client: httpx.AsyncClient, host: FakeHost) -> None:
    host.failure = PrefectUnavailable("it answered 500")
    answer = await execute(client)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json() == {"detail": "Prefect's API is not available: it answered 500; try again shortly"}


async def test_a_store_that_fails_is_a_503_with_the_reason(client: httpx.AsyncClient, host: FakeHost) -> None:
    host.failure = StoreUnavailable("store at sqlite: disk full")
    answer = await execute(client)
    assert (answer.status_code, answer.json()) == (503, {"detail": "store at sqlite: disk full"})


async def test_what_nobody_expected_is_a_500_that_tells_nothing(client: httpx.AsyncClient, host: FakeHost) -> None:
    host.failure = RuntimeError("secret")
    answer = await execute(client)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert isinstance(answer.json()["detail"], str)
    assert answer.headers["x-request-id"]


async def test_maxima_are_the_operator_s(client: httpx.AsyncClient, host: FakeHost) -> None:
    limits = {"max_budget_usd_limit": 1.0, "max_timeout_seconds_limit": 60}
    host.runtime.settings = host.runtime.settings.model_copy(update=limits)
    answer = await execute(client, max_budget_usd=2, timeout_seconds=61)
    assert locations(answer) == [["body", "max_budget_usd"], ["body", "timeout_seconds"]]
