"""How soon a job starts: ours, and a deployment on Prefect's stock process worker.

`python -m benchmarks.job_start` prints, for both, the seconds from the accepted request to the run's first line (the
time of its state Running, as Prefect has it) and to the start of the agent's process, and exits with 1 when ours is not
at least 8 times sooner. JOBS sets how many of ours are measured; of the rival's, fewer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.stock import end, stock_environment, stock_prefect
from demo.model import OfflineModel
from demo.stage import Stage, set_stage

BOUND = 8.0
JOBS = 9
RIVALS = 4
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


@dataclass
class Start:
    """Of one job, in seconds from its acceptance."""

    first_line: float
    process: float


def main() -> int:
    """Measure, print, and judge; gives the exit status."""
    jobs = int(os.environ.get("JOBS", JOBS))
    with tempfile.TemporaryDirectory() as scratch, OfflineModel(record=False) as model:
        directory = Path(scratch)
        with set_stage(directory / "ours", model.url) as stage:
            ours = asyncio.run(our_starts(stage, jobs))
        rows = {"ours": ours}
        for name, query in {"stock worker": None, "stock worker, polling each second": "1"}.items():
            rows[name] = rival_starts(directory / name.replace(" ", "-"), query, min(jobs, RIVALS))
    print(f"{'seconds to':36}{'first line':>24}{'agent process':>26}{'jobs':>6}")
    for name, starts in rows.items():
        columns = [spread([start.first_line for start in starts]), spread([start.process for start in starts])]
        print(f"{name:36}{columns[0]:>24}{columns[1]:>26}{len(starts):6}")
    ratios = [ratio(rows, "stock worker", part) for part in ("first_line", "process")]
    held = min(ratios) >= BOUND
    print(f"\ntimes sooner than the stock worker: first line {ratios[0]:.1f}, agent process {ratios[1]:.1f}")
    print(f"bound: at least {BOUND:.0f}: {'held' if held else 'NOT HELD'}")
    return 0 if held else 1


def ratio(rows: dict[str, list[Start]], rival: str, part: str) -> float:
    """How many times sooner ours is, by medians."""
    ours, theirs = (statistics.median(getattr(start, part) for start in rows[name]) for name in ("ours", rival))
    return float(theirs / ours)


def spread(values: list[float]) -> str:
    """Median, and the range."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}..{max(values):.2f})"


async def our_starts(stage: Stage, jobs: int) -> list[Start]:
    """Jobs one after the other, after one that is not counted: it fetches the repository."""
    headers = {"Authorization": f"Bearer {stage.token}"}
    body = {"agent": "recruiter-triage", "prompt": 'offline-model: {"text": "pong"}'}
    user, password = stage.prefect_auth.split(":", 1)
    starts = []
    async with (
        httpx.AsyncClient(base_url=stage.url, headers=headers, timeout=RUN_SECONDS) as client,
        httpx.AsyncClient(base_url=f"{stage.prefect_url}/api", auth=(user, password)) as prefect,
    ):
        for _ in range(jobs + 1):
            accepted = time.time()
            begun = asyncio.create_task(agent_begun(stage, accepted))
            job_id = (await client.post("/execute", json=body)).raise_for_status().json()["job_id"]
            job = (await client.get(f"/jobs/{job_id}", params={"wait": RUN_SECONDS})).raise_for_status().json()
            if job["status"] != "completed":
                raise RuntimeError(f"a job ended as {job['status']}: {job}")
            run = (await prefect.get(f"/flow_runs/{job_id}")).raise_for_status().json()
            starts.append(Start(moment(run["start_time"]) - accepted, await begun - accepted))
            await asyncio.sleep(0.3)
    return starts[1:]


async def agent_begun(stage: Stage, since: float) -> float:
    """When the first process of the CLI came up after that moment."""
    service = psutil.Process(stage.process.pid)
    async with asyncio.timeout(RUN_SECONDS):
        while True:
            for process in service.children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if process.name() == "claude" and process.create_time() >= since - 0.02:
                        return process.create_time()
            await asyncio.sleep(0.02)


def rival_starts(directory: Path, query_seconds: str | None, jobs: int) -> list[Start]:
    """The same on the stock worker, its first job not counted either."""
    with (
        stock_prefect(directory) as url,
        stock_worker(directory, url, query_seconds),
        httpx.Client(base_url=url, timeout=30) as prefect,
    ):
        return [rival_start(prefect, directory / f"stamp-{number}") for number in range(jobs + 1)][1:]


@contextmanager
def stock_worker(directory: Path, url: str, query_seconds: str | None) -> Iterator[None]:
    """A process worker with one deployment."""
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


def rival_start(prefect: httpx.Client, stamp: Path) -> Start:
    """One run of the deployment, from its creation to its end."""
    deployment = prefect.get("/deployments/name/job/stock").raise_for_status().json()["id"]
    accepted = time.time()
    body = {"parameters": {"stamp": str(stamp)}, "state": {"type": "SCHEDULED"}}
    run: dict[str, Any] = (
        prefect.post(f"/deployments/{deployment}/create_flow_run", json=body).raise_for_status().json()
    )
    until = time.monotonic() + RUN_SECONDS
    while run["state_type"] not in ("COMPLETED", "FAILED", "CRASHED"):
        if time.monotonic() > until:
            raise RuntimeError(f"the stock worker did not end its run: {json.dumps(run)[:500]}")
        time.sleep(0.1)
        run = prefect.get(f"/flow_runs/{run['id']}").raise_for_status().json()
    return Start(moment(run["start_time"]) - accepted, float(stamp.read_text()) - accepted)


def moment(text: str) -> float:
    """Seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


if __name__ == "__main__":
    sys.exit(main())
