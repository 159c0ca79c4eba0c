"""The invariants of every job and of the machine, with any part killed."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

from agent.sandbox.process_sweep import COOKIE
from agent.sandbox.sandbox import run_prefix
from benchmarks.chaos.work import ChaosCaller, ChaosJob
from demo.offline_model.model import OfflineModel
from demo.service import Stage


@dataclass
class Excuses:
    """The times at which something may end a run that is healthy: its host was killed, or the disk was full."""

    times: list[tuple[float, float]] = field(default_factory=list)

    def cover(self, began: float, ended: float) -> bool:
        """True if one of them lies in the run's life."""
        return any(first <= ended and last >= began for first, last in self.times)


FINAL = {"COMPLETED", "FAILED", "CANCELLED", "CRASHED"}


async def broken(stage: Stage, caller: ChaosCaller, model: OfflineModel, excuses: Excuses) -> list[str]:
    """Each invariant that does not hold, in a line; asked while the service is up and idle."""
    found = [*caller.refused]
    async with prefect(stage) as api:
        for job in caller.jobs:
            if not job.deleted:
                found += await _of_job(api, job, excuses)
        found += await _of_prefect(api, caller)
    found += _of_agents(caller.jobs, model)
    health = (await caller.client.get("/health")).json()
    if health["capacity"]["free"] != health["capacity"]["agents"] or health["capacity"]["waiting"]:
        found.append(f"not every slot is free: {health['capacity']}")
    if len(parked(stage)) > health["capacity"]["agents"]:
        found.append(f"more is parked than there are slots: {parked(stage)}")
    found += [f"an agent's process is alive: {line}" for line in agents_alive(stage)]
    for place in ("runs", "host/runs"):
        directory = stage.state_dir / place
        left = sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []
        if left:
            found.append(f"left over in {place}: {' '.join(left[:5])}")
    return found


async def _of_job(api: httpx.AsyncClient, job: ChaosJob, excuses: Excuses) -> list[str]:
    if job.answer.get("status", "running") == "running":
        return [f"{job.job_id} has no end: {job.answer.get('state')}"]
    states = (await api.get("/flow_run_states/", params={"flow_run_id": job.job_id})).json()
    final = [state["type"] for state in states if state["type"] in FINAL]
    begun = [state for state in states if state["type"] == "RUNNING" and state["name"] == "Running"]
    found = []
    if len(final) != 1:
        found.append(f"{job.job_id} has {len(final)} ends: {' '.join(state['name'] for state in states)}")
    if len(begun) > 1 and not job.resumes:
        found.append(f"{job.job_id} was begun {len(begun)} times")
    if states and not (final == ["COMPLETED"] or excuses.cover(_moment(states[0]), _moment(states[-1]))):
        last = states[-1]
        found.append(f"{job.job_id} was healthy, and ended as {last['name']}: {last['message']}")
    return found


def _moment(state: dict[str, Any]) -> float:
    return datetime.fromisoformat(state["timestamp"].replace("Z", "+00:00")).timestamp()


async def _of_prefect(api: httpx.AsyncClient, caller: ChaosCaller) -> list[str]:
    body = {"flow_runs": {"tags": {"all_": [caller.tag]}}}
    counted: int = (await api.post("/flow_runs/count", json=body)).json()
    accepted = len([job for job in caller.jobs if not job.deleted])
    return [] if counted == accepted else [f"{counted} runs for {accepted} accepted jobs"]


def _of_agents(jobs: list[ChaosJob], model: OfflineModel) -> list[str]:
    """Whether the model was told each prompt once, but for those that were to be carried on."""
    first = [talk for talk in model.conversations if talk.turn == 0]
    told = Counter(job.mark for job in jobs for talk in first if job.mark in talk.prompt)
    return [
        f"{job.job_id}: its agent was started {told[job.mark]} times"
        for job in jobs
        if told[job.mark] > 1 and not job.resumes
    ]


def agents_alive(stage: Stage) -> list[str]:
    """What runs with the cookie of one of this service's runs, or in a cell with something of its state.

    Others of this machine have agents, too, and mount namespaces in which the state is mounted as it is here.
    """
    own, waiting = Path("/proc/self/ns/mnt").readlink(), parked(stage)
    prefix, mounted = run_prefix(stage.state_dir), re.compile(_mounts_below(stage.state_dir))
    found = []
    for process in psutil.process_iter():
        proc = Path("/proc", str(process.pid))
        with contextlib.suppress(psutil.Error, OSError):
            mounts = (proc / "mountinfo").read_text()
            in_cell = (proc / "ns/mnt").readlink() != own and mounted.search(mounts) is not None
            cookie = process.environ().get(COOKIE, "")
            ours = in_cell or cookie.startswith(prefix)
            if ours and not any(name in mounts or cookie.endswith(name) for name in waiting):
                found.append(f"{process.pid} {' '.join(process.cmdline())[:100]}")
    return found


def _mounts_below(directory: Path) -> str:
    """How a line of a process's mountinfo looks that shows something below `directory`."""
    mounts = [line.split()[2:5] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    over = [mount for mount in reversed(mounts) if directory.is_relative_to(mount[2])]
    device, root, point = max(over, key=lambda mount: len(mount[2]))  # the last of those on one place
    below = f"{root.rstrip('/')}/{directory.relative_to(point)}".removesuffix("/.")
    return rf" {re.escape(device)} {re.escape(below)}/\S"


def parked(stage: Stage) -> list[str]:
    """The names of processes that wait for a run, in cells or not."""
    return [path.name for place in ("warm", "host/warm") for path in (stage.state_dir / place).glob("warm-*")]


def prefect(stage: Stage) -> httpx.AsyncClient:
    """Prefect's own API, with its password."""
    user, password = stage.prefect_auth.split(":", 1)
    return httpx.AsyncClient(base_url=f"{stage.prefect_url}/api", auth=(user, password), timeout=60)
