"""A run that was asked to be carried on: its host is killed, then stopped, and its agent goes on where it was."""

from __future__ import annotations

from typing import Any

import psutil
import pytest
from job_client import Jobs
from waiting import until

from benchmarks.chaos.faults import HOST, find_part, wait_until_whole

pytestmark = pytest.mark.anyio

# whoever comes back to the same files for the third time goes on
WAIT = "[ $(wc -l < begun.txt) -ge 3 ] || for i in $(seq 777); do sleep 0.3; done"
STEPS = [
    {"text": "I begin.", "tool": "Bash", "input": {"command": f"echo begun >> begun.txt; {WAIT}; cat begun.txt"}},
    {"text": "{tool_result}"},
]


async def test_an_agent_goes_on_with_its_files_and_its_session(victim: Any) -> None:
    jobs = Jobs(victim.client, victim.stage)
    job_id = await jobs.start(*STEPS, on_crash="resume")
    await until(lambda: jobs.processes("seq 777") and times_begun(jobs, job_id) == 1, "the tool runs", 120)
    await end_host(jobs, psutil.Process.kill)
    await until(lambda: jobs.processes("seq 777") and times_begun(jobs, job_id) == 2, "the tool runs again", 120)
    await end_host(jobs, psutil.Process.terminate)
    job = await jobs.finished(job_id, 120)
    assert (job["status"], job["result"]) == ("completed", "begun\nbegun\nbegun")
    messages = victim.model.conversations[-1].messages
    assert sum("You were interrupted by a restart" in said.text for said in messages) == 2
    assert sum(said.role == "assistant" and "I begin." in said.text for said in messages) == 3
    assert not (jobs.stage.state_dir / "runs" / job_id).exists()


def times_begun(jobs: Jobs, job_id: str) -> int:
    """How often the agent says so in what the CLI has kept of the session, which it does a moment after."""
    sessions = (jobs.stage.state_dir / "runs" / job_id).rglob("projects/*/*.jsonl")
    return sum('"text":"I begin."' in line for session in sessions for line in session.read_text().splitlines())


async def end_host(jobs: Jobs, how: Any) -> None:
    """End the host, and return once another serves."""
    host = find_part(jobs.stage, HOST)
    assert host is not None
    how(host)
    await until(lambda: not host.is_running() or host.status() == psutil.STATUS_ZOMBIE, "the host has ended", 60)
    await until(lambda: not jobs.processes("seq 777"), "its agent has ended with it", 10)
    await wait_until_whole(jobs.stage)
