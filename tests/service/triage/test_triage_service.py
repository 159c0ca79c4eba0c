"""Triage on the real service: the real CLI, Prefect's own server, and what an operator sees and switches."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from terminal import command
from triage_service import VERDICT, ask, children, finished, runs, slow, start, until

if TYPE_CHECKING:
    from conftest import Service


async def artifacts(service: Service, run_id: str) -> dict[str, Any]:
    async with service.prefect() as prefect:
        found = await prefect.post("/artifacts/filter", json={"artifacts": {"flow_run_id": {"any_": [run_id]}}})
    return {artifact["type"]: artifact["data"] for artifact in found.json()}


async def test_a_triage_gives_each_item_to_an_agent_and_leaves_its_report(service: Service) -> None:
    request = ask("alpha", "beta", json_schema=VERDICT)
    run_id = await start(service, request)
    job = await finished(service, run_id)
    assert job["status"] == "completed", job
    report = job["structured"]
    assert [(item["title"], item["status"]) for item in report["items"]] == [("alpha", "done"), ("beta", "done")]
    assert all(set(item["verdict"]) == {"priority", "summary"} for item in report["items"])
    assert job["cost_usd"] == pytest.approx(sum(item["cost_usd"] for item in report["items"]))
    assert job["cost_usd"] > 0

    own = await children(service, run_id)
    assert sorted(run["name"] for run in own) == ["recruiter-triage: alpha", "recruiter-triage: beta"]
    assert {run["work_pool_name"] for run in own} == {"agents"}
    assert {str(item["run_id"]) for item in report["items"]} == {run["id"] for run in own}

    assert all(f"triage:{request['name']}" in run["tags"] for run in own)
    assert {run["labels"]["triage_run"] for run in own} == {run_id}
    assert f"/runs/flow-run/{run_id})" in (await artifacts(service, own[0]["id"]))["markdown"]

    left = await artifacts(service, run_id)
    assert all(f"/runs/flow-run/{run['id']})" in left["markdown"] for run in own)
    assert "alpha" in left["markdown"]
    assert "| priority |" in left["markdown"]
    assert '"priority"' in str(left["table"])

    # nothing that writes, runs or fetches, unless the register says so
    asked = [talk for talk in service.model.conversations if "About alpha." in talk.prompt]
    assert asked
    others = {"StructuredOutput", "DeferredToolPlaceholder"}
    assert all(set(talk.tools) - others == {"Read", "Glob", "Grep"} for talk in asked)

    again = await finished(service, await start(service, request))
    assert (again["structured"]["items"], again["structured"]["handled_before"]) == ([], 2)
    request["source"]["items"][1]["body"] = "Something else."
    changed = await finished(service, await start(service, request))
    assert [item["title"] for item in changed["structured"]["items"]] == ["beta"]


async def test_it_works_with_the_agents_pool_limited_to_one(service: Service) -> None:
    async with service.prefect() as prefect:
        await prefect.patch("/work_pools/agents", json={"concurrency_limit": 1})
        try:
            job = await finished(service, await start(service, ask("a", "b", at_once=2)))
        finally:
            await prefect.patch("/work_pools/agents", json={"concurrency_limit": None})
    assert job["structured"]["counts"] == {"done": 2}


async def test_a_triage_whose_items_all_fail_is_a_failure_with_its_report(service: Service) -> None:
    job = await finished(service, await start(service, ask("a", agent="nobody")))
    assert job["status"] == "failed"
    (item,) = job["structured"]["items"]
    assert "nobody" in item["error"]
    assert item["run_url"]


async def test_a_source_that_fails_is_an_error_with_its_reason(service: Service) -> None:
    job = await finished(service, await start(service, ask(source={"type": "folder", "path": "nowhere"})))
    assert (job["status"], job["error"]) == ("error", "the workspace has no folder 'nowhere'")


async def test_a_cancelled_triage_ends_its_agents(service: Service) -> None:
    run_id = await start(service, ask("a", "b", prompt=slow(60_000), at_once=1))

    async def at_work() -> bool:
        return any(run["state_type"] == "RUNNING" for run in await children(service, run_id))

    await until(at_work, "an agent at work")
    async with service.prefect() as prefect:
        await prefect.post(f"/flow_runs/{run_id}/set_state", json={"state": {"type": "CANCELLING"}})
    assert (await finished(service, run_id))["state"] == "Cancelled"

    async def ended() -> bool:
        return {run["state_type"] for run in await children(service, run_id)} == {"CANCELLED"}

    await until(ended, "its agents ended")


async def test_the_kill_switch_stops_everything_that_starts_agents_and_health_shows_it(service: Service) -> None:
    running = await start(service, ask("a", prompt=slow(60_000)))

    async def at_work() -> bool:
        return any(run["state_type"] == "RUNNING" for run in await children(service, running))

    await until(at_work, "an agent at work")
    try:
        paused = (await service.client.post("/pause", json={"cancel": True})).json()
        assert paused["paused"] == ["agents", "triage"]
        assert paused["cancelled"] >= 2
        health = (await service.client.get("/health")).json()
        assert (health["busy"], health["paused"]) == (True, ["agents", "triage"])
        assert (await finished(service, running))["state"] == "Cancelled"

        chat = await service.client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "x"}]})
        assert chat.status_code == 503
        assert "paused by the operator" in chat.json()["detail"]
        body = {"agent": "recruiter-triage", "prompt": "waits"}
        waiting = (await service.client.post("/execute", json=body)).json()["job_id"]
        assert (await service.client.get(f"/jobs/{waiting}")).json()["status"] == "running"
    finally:
        assert (await service.client.post("/resume")).json() == {"paused": [], "cancelled": 0}
    assert (await finished(service, waiting))["status"] == "completed"
    health = (await service.client.get("/health")).json()
    assert "paused" not in health


async def test_a_pause_in_prefect_s_own_ui_is_heard(service: Service) -> None:
    async with service.prefect() as prefect:
        await prefect.patch("/work_pools/triage", json={"is_paused": True})
        try:

            async def shown() -> bool:
                return (await service.client.get("/health")).json().get("paused") == ["triage"]

            await until(shown, "the pause in /health")
        finally:
            await prefect.patch("/work_pools/triage", json={"is_paused": False})

    async def over() -> bool:
        return "paused" not in (await service.client.get("/health")).json()

    await until(over, "its end in /health")


# the terminal


@pytest.fixture
def terminal(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of an operator's shell."""
    monkeypatch.setenv("API_PORT", service.url.rsplit(":", 1)[1])
    monkeypatch.setenv("API_BEARER_TOKEN", service.token)


async def test_a_dry_run_lists_what_would_be_done_and_starts_nothing(
    service: Service, terminal: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await command("triage", "inbox", "--dry-run") == 0
    said = capsys.readouterr()
    assert next(line.split("\t")[0] for line in said.out.splitlines()) == "inbox/01-staff-engineer.md"
    assert "It may cost at most $1.00. No agent was started." in said.err
    assert not any("inbox/" in conversation.prompt for conversation in service.model.conversations)


async def test_an_unknown_triage_is_refused(terminal: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert await command("triage", "nothing", "--json") == 4
    assert "404: Triage not found" in capsys.readouterr().err


async def test_pause_and_resume_are_one_command_each(terminal: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert [await command(word) for word in ("pause", "resume", "resume")] == [0, 0, 0]
    assert capsys.readouterr().out.splitlines() == [
        "paused: agents, triage; `agent-service resume` starts agents again",
        "resumed: agents, triage",
        "nothing was paused",
    ]


async def test_the_triage_of_the_register_runs_out_of_turn(
    service: Service, terminal: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (await service.client.post("/triage/..%2fx")).status_code == 404
    started = await service.client.post("/triage/inbox", json={"again": True})
    assert started.status_code == 202
    job = await finished(service, started.json()["job_id"])
    assert job["structured"]["counts"] == {"done": 2}
    hostile = next(item for item in job["structured"]["items"] if "helpful-assistant" in item["title"])
    assert hostile["verdict"]["action"] == "quarantine"
    (run,) = await runs(service, flow_runs={"id": {"any_": [started.json()["job_id"]]}})
    assert run["name"] == "triage of inbox"

    # what is known of it afterwards, by triage and by item
    triages = (await service.client.get("/triage")).json()["triages"]
    (inbox,) = [triage for triage in triages if triage["name"] == "inbox"]
    assert inbox["items"] == {"done": 2}
    found = (await service.client.get("/triage/inbox/items", params={"q": "helpful-assistant"})).json()["items"]
    assert [(item["status"], item["verdict"]["action"]) for item in found] == [("done", "quarantine")]
    assert found[0]["judged_by"] == str(hostile["run_id"])
    page = (await service.client.get("/triage/inbox/items", params={"limit": 1, "status": "done"})).json()
    assert page["next"] == "/triage/inbox/items?status=done&limit=1&offset=1"
    one = (await service.client.get("/triage/inbox/items", params={"key": found[0]["key"]})).json()["items"]
    assert one == found
    assert (await service.client.get("/triage/nothing/items")).status_code == 404
    assert await command("triage") == 0
    assert "inbox\tno schedule is switched on\t2 done" in capsys.readouterr().out
    assert await command("triage", "inbox", "--find", "helpful-assistant") == 0
    assert "action: quarantine" in capsys.readouterr().out
    assert (await service.client.post("/triage/inbox", json={"items": ["i1"]})).status_code == 422

    # one item: its prompt, a replay that changes nothing, and a run of it alone
    key = found[0]["key"]
    assert await command("triage", "inbox", "--item", key, "--show-prompt") == 0
    assert "material to judge" in capsys.readouterr().out
    assert await command("triage", "inbox", "--item", key, "--replay") == 0
    assert "action\tquarantine\tquarantine" in capsys.readouterr().out
    assert (await service.client.get("/triage/inbox/items", params={"key": key})).json()["items"] == found
    missing = await service.client.post("/triage/inbox/prompt", json={"key": "nothing"})
    assert (missing.status_code, missing.json()["detail"][:14]) == (404, "Item not found")
    assert await command("triage", "inbox", "--item", key, "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert [(item["key"], item["status"]) for item in again["items"]] == [(key, "done")]
