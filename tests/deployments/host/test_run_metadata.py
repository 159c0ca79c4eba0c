"""A run is found in Prefect by its name, its tags and its labels, whoever made it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from agent.domain.request import AgentRequest
from deployments.host.run_metadata import child_labels, run_labels, run_name, run_tags

if TYPE_CHECKING:
    from conftest import Service


def test_a_run_is_named_after_its_agent_and_what_it_is_to_do() -> None:
    request = AgentRequest(agent="a", prompt="Upgrade\nthe  proxy, " + "and so on " * 20)
    name = run_name(request)
    assert name.startswith("a: Upgrade the proxy, and so on")
    assert name.endswith("…")
    assert len(name) <= 64
    assert run_name(request, "issue 7") == "a: issue 7"


@pytest.mark.parametrize("agent", ["fixer", ".claude/agents/fixer", ".claude/agents/fixer.md"])
def test_an_agent_has_one_tag_however_it_was_asked_for(agent: str) -> None:
    request = AgentRequest(agent=agent, prompt="x")
    assert run_tags(request, ["trigger:execute", "nightly", "nightly"]) == ["trigger:execute", "nightly", "agent:fixer"]
    assert run_labels(request, [])["agent"] == "fixer"


def test_the_labels_say_what_was_asked_for_and_by_whom() -> None:
    request = AgentRequest(agent="a", prompt="x", model="opus", workspace="infra", ref="v2")
    assert run_labels(request, ["trigger:chat", "user:anna"]) == {
        "agent": "a",
        "model": "opus",
        "workspace": "infra",
        "ref": "v2",
        "trigger": "chat",
        "caller": "anna",
    }


def test_a_part_of_a_triage_says_of_which() -> None:
    parent = uuid4()
    assert child_labels("inbox", parent) == {"triage": "inbox", "triage_run": str(parent)}


async def read_run(service: Service, run_id: str) -> dict[str, Any]:
    async with service.prefect() as prefect:
        found: dict[str, Any] = (await prefect.get(f"/flow_runs/{run_id}")).json()
        return found


async def test_a_run_that_a_person_starts_in_prefect_is_marked_as_well(service: Service) -> None:
    request = {"agent": "recruiter-triage", "prompt": "Look at what is there."}
    async with service.prefect() as prefect:
        deployment = (await prefect.get("/deployments/name/agent_run/agent-run")).json()
        made = await prefect.post(
            f"/deployments/{deployment['id']}/create_flow_run",
            json={"parameters": {"request": request}, "state": {"type": "SCHEDULED"}},
        )
        run_id = made.json()["id"]
    job = (await service.client.get(f"/jobs/{run_id}", params={"wait": 60}, timeout=90)).json()
    assert job["status"] == "completed", job
    run = await read_run(service, run_id)
    assert run["name"] == "recruiter-triage: Look at what is there."
    assert {"trigger:prefect", "agent:recruiter-triage", "claude-agent"} <= set(run["tags"])
    assert (run["labels"]["agent"], run["labels"]["trigger"]) == ("recruiter-triage", "prefect")
    assert await spared(service, run_id)


async def spared(service: Service, run_id: str) -> bool:
    """The log has what the agent did, and nothing of Prefect's own; Prefect sends it every few seconds."""
    query = {"logs": {"flow_run_id": {"any_": [run_id]}}, "sort": "TIMESTAMP_ASC"}
    lines: list[str] = []
    async with service.prefect() as prefect, asyncio.timeout(30):
        while not any(line.startswith("workspace default at") for line in lines):
            lines = [entry["message"] for entry in (await prefect.post("/logs/filter", json=query)).json()]
            await asyncio.sleep(0.2)
    return not [line for line in lines if line.startswith(("Beginning", "Finished in state Completed"))]
