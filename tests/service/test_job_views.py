"""What operators read of jobs besides the job itself: lists with later jobs, usage, kept work."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from demo.repository import git

if TYPE_CHECKING:
    from conftest import Service

EDIT = {"tool": "Bash", "input": {"command": "echo more >> README.md"}}


async def test_a_job_for_later_is_in_the_lists_with_its_time_and_can_be_deleted(service: Service) -> None:
    due = datetime.now(UTC) + timedelta(hours=3)
    body = {"agent": "recruiter-triage", "prompt": "Later.", "run_at": due.isoformat(), "tags": ["for-later"]}
    made = await service.client.post("/jobs", json=body)
    job_id = made.json()["job_id"]
    page = (await service.client.get("/jobs", params={"tag": "for-later", "limit": 1})).json()
    [listed] = page["jobs"]
    assert (listed["job_id"], listed["status"], listed["phase"]) == (job_id, "running", "scheduled")
    assert abs(datetime.fromisoformat(listed["waiting"]["until"]) - due) < timedelta(seconds=2)
    assert (await service.client.get("/jobs", params={"phase": "working", "tag": "for-later"})).json()["jobs"] == []
    assert (await service.client.get(page["next"])).json() == {"jobs": [], "next": None}
    assert (await service.client.delete(f"/jobs/{job_id}")).status_code == 200
    ended = (await service.client.get(f"/jobs/{job_id}?wait=60", timeout=90)).json()
    assert (ended["status"], ended["phase"]) == ("error", "cancelled")


async def test_spend_is_told_by_day_and_agent_and_unpushed_work_is_a_bundle(service: Service, tmp_path: Path) -> None:
    before = (await service.client.get("/usage")).json()["total"]
    prompt = f"offline-model: {json.dumps([EDIT, {'text': 'done'}])}"
    made = await service.client.post("/execute", json={"agent": "recruiter-triage", "prompt": prompt})
    job_id = made.json()["job_id"]
    job = (await service.client.get(f"/jobs/{job_id}?wait=120", timeout=150)).json()
    assert job["status"] == "completed"
    [listed] = [one for one in (await service.client.get("/jobs")).json()["jobs"] if one["job_id"] == job_id]
    same = ("finished_at", "created_at", "started_at", "cost_usd", "turns", "usage", "model", "phase", "trigger")
    assert {name: listed[name] for name in same} == {name: job[name] for name in same}

    usage = (await service.client.get("/usage", params={"days": 2, "timezone": "Europe/Berlin"})).json()
    assert usage["total"]["runs"] >= before["runs"] + 1
    assert usage["total"]["cost_usd"] >= before["cost_usd"] + job["cost_usd"] * 0.99
    assert any(day["agent"] == "recruiter-triage" for day in usage["days"])
    assert (await service.client.get("/usage", params={"timezone": "Nowhere/Town"})).status_code == 422

    kept = (await service.client.get("/kept")).json()["kept"]
    assert job_id in [one["job_id"] for one in kept]
    bundle = tmp_path / "work.bundle"
    bundle.write_bytes((await service.client.get(f"/kept/{job_id}/bundle")).content)
    git(tmp_path, "clone", "--quiet", str(service.stage.origin), "clone")
    git(tmp_path / "clone", "fetch", "--quiet", str(bundle), "refs/agent-runs/*:refs/heads/agent-run/*")
    assert "+more" in git(tmp_path / "clone", "diff", "main", f"agent-run/{job_id}", "--", "README.md")
    assert (await service.client.get("/kept/nothing/bundle")).status_code == 404
