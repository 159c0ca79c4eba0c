"""`agent-service demo`: all of the service in a minute, with the offline model."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
from rich.console import Console
from rich.panel import Panel

from cli.commands.demo_triage import show_triage
from demo.offline_model.model import OfflineModel
from demo.service import Stage, StageFailed, set_stage

_WAIT_SECONDS = 120.0
_LETTER = "inbox/01-staff-engineer.md"

console = Console()


def show_demo() -> int:
    """Run one chat completion, one job, one scheduled run and a triage through the real CLI; gives the exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended in any case
    with (
        tempfile.TemporaryDirectory(prefix="agent-service-demo-", ignore_cleanup_errors=True) as scratch,
        OfflineModel() as model,
    ):
        console.print("Starting Prefect, the API and a host; the offline model stands in for the real one …")
        started = time.monotonic()
        try:
            with set_stage(Path(scratch), model.url) as stage:
                family = _family(stage)
                console.print(f"Ready after {time.monotonic() - started:.0f} s.\n")
                well = _tour(stage)
                family += _family(stage)
        except StageFailed as failure:
            console.print(str(failure), markup=False)
            return 1
        left = [process for process in set(family) if _is_alive(process)]
    console.print(f"Stopped. Processes left: {len(left)}.")
    return 0 if well and not left else 1


def _tour(stage: Stage) -> bool:
    headers = {"Authorization": f"Bearer {stage.token}"}
    with httpx.Client(base_url=stage.url, headers=headers, timeout=_WAIT_SECONDS) as service:
        chat = _chat(service)
        job = _job(service)
    with httpx.Client(base_url=f"{stage.prefect_url}/api", auth=_credentials(stage), timeout=_WAIT_SECONDS) as prefect:
        scheduled = _scheduled(prefect)
        if scheduled is not None:
            with httpx.Client(base_url=stage.url, headers=headers) as service:
                scheduled_job = _show_job(service, "Scheduled run", scheduled["id"])
        with httpx.Client(base_url=stage.url, headers=headers, timeout=_WAIT_SECONDS) as service:
            triage = show_triage(service, prefect, stage.origin)
    return bool(chat and job and scheduled is not None and scheduled_job and triage)


def _chat(service: httpx.Client) -> bool:
    body = {"messages": [{"role": "user", "content": f"Triage {_LETTER}."}]}
    answer = service.post("/v1/chat/completions", json=body)
    if answer.status_code != 200:
        return _failed("Chat completion", answer)
    return _show_job(service, "Chat completion  (POST /v1/chat/completions)", answer.headers["x-flow-run-id"])


def _job(service: httpx.Client) -> bool:
    body = {"agent": "beads-task-runner", "prompt": "Take the next open task and do it.", "max_budget_usd": 1}
    answer = service.post("/execute", json=body)
    if answer.status_code != 202:
        return _failed("Job", answer)
    return _show_job(service, "Job  (POST /execute)", answer.json()["job_id"])


def _show_job(service: httpx.Client, title: str, job_id: str) -> bool:
    deadline = time.monotonic() + _WAIT_SECONDS
    job = service.get(f"/jobs/{job_id}").json()
    while job["status"] == "running" and time.monotonic() < deadline:
        time.sleep(0.2)
        job = service.get(f"/jobs/{job_id}").json()
    _show(title, job.get("result") or job.get("error") or job["status"], job)
    return bool(job["status"] == "completed")


def _scheduled(prefect: httpx.Client) -> dict[str, Any] | None:
    """The first run that the schedule made and a host has finished."""
    deployment = prefect.get("/deployments/name/agent_run/task-runner").json()
    query = {
        "flow_runs": {"deployment_id": {"any_": [deployment["id"]]}, "state": {"type": {"any_": ["COMPLETED"]}}},
        "limit": 1,
    }
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        runs: list[dict[str, Any]] = prefect.post("/flow_runs/filter", json=query).json()
        if runs:
            return runs[0]
        time.sleep(0.2)
    console.print("No scheduled run has completed in time.")
    return None


def _show(title: str, text: str, job: dict[str, Any]) -> None:
    cost = job.get("cost_usd")
    figures = f"cost {'unknown' if cost is None else f'${cost:.4f}'}   run {job.get('flow_run_url')}"
    console.print(Panel(text, title=title, subtitle=job["status"], title_align="left", subtitle_align="right"))
    console.print(figures, markup=False, soft_wrap=True)
    console.print()


def _failed(what: str, answer: httpx.Response) -> bool:
    console.print(f"{what}: {answer.status_code} {answer.text}", markup=False)
    return False


def _credentials(stage: Stage) -> tuple[str, str]:
    user, password = stage.prefect_auth.split(":", 1)
    return user, password


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _family(stage: Stage) -> list[psutil.Process]:
    process = psutil.Process(stage.process.pid)
    return [process, *process.children(recursive=True)]
