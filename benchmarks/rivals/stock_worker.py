"""A job on Prefect as it comes: a deployment, and a process worker that starts an interpreter for each run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from benchmarks.rivals.stock_prefect import end, stock_environment

RUN_SECONDS = 120.0
RIVAL = """
import subprocess, time
from pathlib import Path
from prefect import flow

@flow
def job(stamp: str) -> None:
    Path(stamp).write_text(str(time.time()))  # where the agent's process would be started
    subprocess.run(["true"], check=True)
"""
DEPLOY = """
from pathlib import Path
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate

with get_client(sync_client=True) as client:
    client.create_work_pool(WorkPoolCreate(name="stock", type="process"))
flow.from_source(str(Path.cwd()), "rival.py:job").deploy("stock", work_pool_name="stock", print_next_steps=False)
"""


@contextmanager
def stock_worker(directory: Path, url: str, query_seconds: str | None) -> Iterator[None]:
    """A process worker with one deployment, on the server at `url`."""
    work = directory / "work"
    work.mkdir()
    (work / "rival.py").write_text(RIVAL)
    environment = dict(stock_environment(directory)) | {"PREFECT_API_URL": url}
    if query_seconds is not None:
        environment["PREFECT_WORKER_QUERY_SECONDS"] = query_seconds
    deploy = [sys.executable, "-c", DEPLOY]
    subprocess.run(deploy, cwd=work, env=environment, check=True, capture_output=True, timeout=RUN_SECONDS)
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "stock"]
    with (directory / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            command, cwd=work, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
    try:
        yield
    finally:
        end(worker)


def run_stock_job(prefect: httpx.Client, stamp: Path) -> tuple[float, float]:
    """One run of the deployment; milliseconds from its creation to its first line, and to the agent's process."""
    deployment = prefect.get("/deployments/name/job/stock").raise_for_status().json()["id"]
    accepted = time.time()
    body = {"parameters": {"stamp": str(stamp)}, "state": {"type": "SCHEDULED"}}
    path = f"/deployments/{deployment}/create_flow_run"
    # its server on SQLite answers 503 while another writes; a client asks again, and its time runs
    while (answer := prefect.post(path, json=body)).status_code == 503:
        time.sleep(0.1)
    run: dict[str, Any] = answer.raise_for_status().json()
    until = time.monotonic() + RUN_SECONDS
    while run["state_type"] not in ("COMPLETED", "FAILED", "CRASHED"):
        if time.monotonic() > until:
            raise RuntimeError(f"the stock worker did not end its run: {json.dumps(run)[:500]}")
        time.sleep(0.1)
        seen = prefect.get(f"/flow_runs/{run['id']}")
        run = run if seen.status_code == 503 else seen.raise_for_status().json()
    begun = datetime.fromisoformat(run["start_time"]).timestamp()
    return 1000 * (begun - accepted), 1000 * (float(stamp.read_text()) - accepted)
