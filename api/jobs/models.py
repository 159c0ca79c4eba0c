"""Job: the HTTP representation of a flow run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import FlowRun
from prefect.utilities.urls import url_for
from pydantic import BaseModel, Field, JsonValue

from agent.domain.result import AgentResult, Outcome, Usage, WorkspaceReport
from agent.system.text import shorten_cause
from api.jobs.phase import Phase, Waiting, iso, job_phase
from api.jobs.status import JobStatus, job_status
from deployments.host.run_metadata import run_trigger
from deployments.telemetry.capacity import HostCapacity


class Job(BaseModel):
    """A flow run with its request and its outcome; members that are not known yet are left out."""

    job_id: str
    status: JobStatus = Field(description="Anything but `running` is final.")
    phase: Phase = Field(description="The exact state; `status` keeps to its five words.")
    waiting: Waiting | None = Field(default=None, description="Present while the job does not move.")
    trigger: str = Field(description="`execute`, `chat`, `schedule`, `triage`, `rerun`, `prefect`, …")
    state: str | None = Field(description="The name of Prefect's own state.")
    flow_run_url: str | None = Field(description="The run in Prefect's UI.")
    prompt: str
    agent: str = Field(description="As submitted: a name or a path.")
    metadata: dict[str, JsonValue] | None
    created_at: str = Field(description="When the job was accepted: ISO 8601 with offset.")
    started_at: str = Field(description="The same as `created_at`, whatever the name says.")
    finished_at: str = Field(default="", description="ISO 8601 with offset; present once the job is over.")
    exit_code: int | None = Field(default=None, description="The exit status of the CLI.")
    output: list[str] = Field(
        default=[], description="The JSON object that `claude -p --output-format json` prints, in pieces to be joined."
    )
    stderr: str = Field(default="", description="The end of the CLI's standard error.")
    result: str | None = Field(default=None, description="The answer as text.")
    structured: JsonValue = Field(default=None, description="The answer as JSON that satisfies `json_schema`.")
    cost_usd: float | None = Field(default=None, description="The cost of the run in US dollars.")
    model: str | None = Field(default=None, description="The model that answered.")
    turns: int | None = Field(default=None, description="Turns of the agent.")
    usage: Usage | None = Field(default=None, description="Tokens of all model calls together.")
    duration_seconds: float | None = Field(default=None, description="From the agent's start to its end.")
    workspace: WorkspaceReport | None = Field(
        default=None, description="The commit that the run started from, and the changes of the agent in git."
    )
    error: str = Field(
        default="", description="With status `error`, or of a triage that `failed`: the cause, in one line."
    )


def describe_job(flow_run: FlowRun, request: dict[str, Any], outcome: Outcome | None, capacity: HostCapacity) -> Job:
    """Return the job of a flow run; `request` is its parameter with the whole prompt."""
    status = job_status(flow_run.state, outcome)
    phase, waiting = job_phase(flow_run, capacity, datetime.now(UTC))
    members: dict[str, Any] = {
        "job_id": str(flow_run.id),
        "status": status,
        "phase": phase,
        "trigger": run_trigger(flow_run),
        "state": flow_run.state.name if flow_run.state else None,
        "flow_run_url": flow_run_url(flow_run.id),
        "prompt": str(request.get("prompt", "")),
        "agent": str(request.get("agent", "")),
        "metadata": request.get("metadata"),
        "created_at": iso(flow_run.created),
        "started_at": iso(flow_run.created),
    }
    if waiting is not None:
        members["waiting"] = waiting
    if status != "running":
        members |= _after_the_end(flow_run, outcome or Outcome())
    if status == "error" or (status == "failed" and is_triage(request)):
        members["error"] = run_cause(flow_run, outcome or Outcome())
    return Job(**members)


def is_triage(request: dict[str, Any]) -> bool:
    """True for the request of a triage, which has a source instead of a prompt for one run."""
    return "source" in request


def flow_run_url(run_id: UUID) -> str | None:
    """Return the address of the run in Prefect's UI, if there is one."""
    return url_for("flow-run", run_id)


def _after_the_end(flow_run: FlowRun, outcome: Outcome) -> dict[str, Any]:
    if outcome.result is None:
        return {"finished_at": iso(flow_run.end_time or flow_run.updated)}
    return {"finished_at": iso(outcome.result.finished_at), **_result_members(outcome.result)}


def _result_members(result: AgentResult) -> dict[str, Any]:
    members: dict[str, Any] = {
        "exit_code": result.exit_code,
        "output": result.output,
        "stderr": result.stderr,
        "result": result.text,
        "cost_usd": result.cost_usd,
        "model": result.model,
        "turns": result.turns,
        "usage": result.usage,
        "duration_seconds": result.duration_seconds,
    }
    if result.structured is not None:
        members["structured"] = result.structured
    if result.workspace is not None:
        members["workspace"] = result.workspace
    return members


def run_cause(flow_run: FlowRun, outcome: Outcome) -> str:
    """Return the error of the outcome, else the message of Prefect's state."""
    state = flow_run.state
    message = (
        (state.message or _STATE_MESSAGES.get(state.name or "", f"the run ended as {state.name}")) if state else ""
    )
    return shorten_cause(outcome.error or message)


_STATE_MESSAGES = {"Cancelled": "cancelled"}
"""For states without a message: a cancellation in Prefect's UI sets none."""
