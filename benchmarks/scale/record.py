"""Prefect's record of each job: the host that took it, its starts, and its end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from benchmarks.chaos.invariants import FINAL
from benchmarks.chaos.work import ChaosJob
from benchmarks.scale.cluster import Cluster
from demo.offline_model.model import OfflineModel

AT_ONCE = 6
SHARE_BOUND = 0.2
FEW = 2.0
"""With few jobs, so many more or less than the others are no sign of anything."""


@dataclass(frozen=True)
class Record:
    """One job's."""

    job: ChaosJob
    begun: list[datetime]
    ends: list[str]
    host: str | None
    """The name of the host that began it, or took it last."""

    def breaks(self) -> list[str]:
        """What is wrong with it, in lines."""
        found = []
        if len(self.ends) != 1:
            found.append(f"{self.job.job_id} has {len(self.ends)} ends: {' '.join(self.ends) or 'none'}")
        if len(self.begun) > 1:
            found.append(f"{self.job.job_id} was begun {len(self.begun)} times")
        return found


async def read_records(cluster: Cluster, jobs: Sequence[ChaosJob]) -> list[Record]:
    """The records of these jobs, in their order."""
    names = {f"taken by the host {member.host_id}": member.name for member in cluster.members}
    turns = asyncio.Semaphore(AT_ONCE)
    async with cluster.prefect.client() as api:

        async def read(job: ChaosJob) -> Record:
            async with turns:
                answer = await api.get("/flow_run_states/", params={"flow_run_id": job.job_id})
            states = sorted(answer.json(), key=lambda state: str(state["timestamp"]))
            begun = [datetime.fromisoformat(one["timestamp"]) for one in states if one["name"] == "Running"]
            takers = [names.get(one["message"] or "") for one in states if one["type"] == "PENDING"]
            ends = [one["name"] for one in states if one["type"] in FINAL]
            return Record(job, begun, ends, takers[-1] if takers else None)

        return await asyncio.gather(*map(read, jobs))


def shares(records: Sequence[Record], until: datetime | None = None) -> Counter[str]:
    """How many jobs each host began, before a moment."""
    begun = [one for one in records if one.begun and (until is None or one.begun[0] < until)]
    return Counter(one.host for one in begun if one.host is not None)


def unfair(counted: Counter[str], cluster: Cluster) -> list[str]:
    """The hosts whose share is too far from the mean."""
    mean = counted.total() / len(cluster.members)
    most = max(mean * SHARE_BOUND, FEW)
    return [
        f"{member.name} had {counted[member.name]} jobs, the mean is {mean:.1f}"
        for member in cluster.members
        if abs(counted[member.name] - mean) > most
    ]


async def doubled(cluster: Cluster, jobs: Sequence[ChaosJob], tag: str, model: OfflineModel) -> list[str]:
    """Jobs whose agent was started twice, and runs that nobody asked for."""
    told = Counter(
        job.job_id for talk in model.conversations if talk.turn == 0 for job in jobs if job.mark in talk.prompt
    )
    found = [f"{job_id}: its agent was started {count} times" for job_id, count in told.items() if count > 1]
    async with cluster.prefect.client() as api:
        runs = (await api.post("/flow_runs/count", json={"flow_runs": {"tags": {"all_": [tag]}}})).json()
    return found if runs == len(jobs) else [*found, f"{runs} runs for {len(jobs)} accepted jobs"]
