"""A backup of a running service, and a service that is started from it."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo.offline_model.model import OfflineModel
from demo.repository import create_repository
from demo.service import set_stage
from deployments.maintenance.backup import BackupFailed, back_up, missing_databases


async def finished_job(service: Any) -> str:
    body = {"agent": "recruiter-triage", "prompt": "worth keeping"}
    job_id = (await service.client.post("/execute", json=body)).json()["job_id"]
    answer = await service.client.get(f"/jobs/{job_id}", params={"wait": 60})
    assert answer.json()["status"] == "completed"
    return str(job_id)


async def test_a_running_service_is_backed_up_whole(service: Any, tmp_path: Path) -> None:
    job_id = await finished_job(service)
    copied = back_up(service.stage.state_dir, tmp_path / "backup")
    assert {"prefect/prefect.db", "store.sqlite3", "prefect/auth-string", "host/id"} <= set(copied)
    assert any(place.endswith(".git") for place in copied)
    assert (tmp_path / "backup").stat().st_mode & 0o077 == 0
    with closing(sqlite3.connect(tmp_path / "backup" / "prefect" / "prefect.db")) as database:
        assert database.execute("SELECT state_type FROM flow_run WHERE id = ?", [job_id]).fetchall() == [("COMPLETED",)]
    with pytest.raises(BackupFailed, match="exists already"):
        back_up(service.stage.state_dir, tmp_path / "backup")


def test_a_directory_that_is_not_the_services_is_no_backup(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with pytest.raises(BackupFailed, match="is no state directory"):
        back_up(tmp_path / "state", tmp_path / "backup")
    assert not (tmp_path / "backup").exists()
    assert missing_databases(tmp_path / "state") == ["prefect/prefect.db", "store.sqlite3"]


def test_unpushed_work_is_copied_with_what_it_borrows_from_a_mirror(tmp_path: Path) -> None:
    state = tmp_path / "state"
    mirror, kept = state / "mirrors" / "infra.git", state / "kept" / "infra.git"
    create_repository(tmp_path / "repository")
    git("clone", "--quiet", "--mirror", tmp_path / "repository" / "origin.git", mirror)
    git("clone", "--quiet", "--mirror", "--shared", mirror, kept)
    assert {"mirrors/infra.git", "kept/infra.git"} <= set(back_up(state, tmp_path / "backup"))
    shutil.rmtree(state)
    git("-C", tmp_path / "backup" / "kept" / "infra.git", "fsck", "--connectivity-only")


def git(*words: object) -> None:
    subprocess.run(["git", *map(str, words)], check=True, capture_output=True)


@pytest.mark.long
async def test_a_service_started_from_a_backup_answers_for_earlier_jobs(
    service: Any, offline_model: OfflineModel, tmp_path: Path
) -> None:
    job_id = await finished_job(service)
    (tmp_path / "again").mkdir()
    back_up(service.stage.state_dir, tmp_path / "again" / "state")
    shutil.copytree(service.stage.origin.parent, tmp_path / "again" / "repository")
    with set_stage(tmp_path / "again", offline_model.url) as stage:
        headers = {"Authorization": f"Bearer {stage.token}"}
        async with httpx.AsyncClient(base_url=stage.url, headers=headers, timeout=60) as client:
            earlier = (await client.get(f"/jobs/{job_id}")).json()
            assert earlier == (await service.client.get(f"/jobs/{job_id}")).json() | {
                "flow_run_url": earlier["flow_run_url"]
            }
            events = (await client.get(f"/jobs/{job_id}/transcript")).json()["events"]
            assert events[-1]["type"] == "ended"
            body = {"agent": "recruiter-triage", "prompt": "as before"}
            new = (await client.post("/execute", json=body)).json()["job_id"]
            assert (await client.get(f"/jobs/{new}", params={"wait": 60})).json()["status"] == "completed"
