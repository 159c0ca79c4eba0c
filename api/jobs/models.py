"""A job as its callers see it: a flow run, its request and its outcome in one flat object."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import FlowRun
from prefect.utilities.urls import url_for
from pydantic import BaseModel, Field, JsonValue

from agent.domain.result import AgentResult, Outcome, WorkspaceReport
from agent.system.text import shorten_cause
from api.jobs.status import JobStatus, job_status


class Job(BaseModel):
    """What `GET /jobs/{job_id}` answers; a member that is not known yet is left out."""

    job_id: str
    status: JobStatus = Field(description="Anything but `running` is final.")
    state: str | None = Field(description="The name of Prefect's own state.")
    flow_run_url: str | None = Field(description="Where to see the run in Prefect's UI.")
    prompt: str
    agent: str = Field(description="As submitted: a name or a path.")
    metadata: dict[str, JsonValue] | None
    started_at: str = Field(description="When the job was accepted: ISO 8601 with offset.")
    finished_at: str = Field(default="", description="ISO 8601 with offset; once it is over.")
    exit_code: int | None = Field(default=None, description="The CLI's; once it ran.")
    output: list[str] = Field(
        default=[], description="Joined: the JSON object that `claude -p --output-format json` prints."
    )
    stderr: str = Field(default="", description="The end of it.")
    result: str | None = Field(default=None, description="The answer as text.")
    structured: JsonValue = Field(default=None, description="The answer that follows `json_schema`.")
    cost_usd: float | None = Field(default=None, description="What the run cost, in US dollars.")
    workspace: WorkspaceReport | None = Field(
        default=None, description="The commit it started from, and what the agent changed in git."
    )
    error: str = Field(default="", description="With status `error`: what went wrong, in one line.")


def describe_job(flow_run: FlowRun, request: dict[str, Any], outcome: Outcome | None) -> Job:
    """The job that `flow_run` is; `request` is its parameter, the prompt in full."""
    status = job_status(flow_run.state, outcome)
    members: dict[str, Any] = {
        "job_id": str(flow_run.id),
        "status": status,
        "state": flow_run.state.name if flow_run.state else None,
        "flow_run_url": flow_run_url(flow_run.id),
        "prompt": str(request.get("prompt", "")),
        "agent": str(request.get("agent", "")),
        "metadata": request.get("metadata"),
        "started_at": _iso(flow_run.created),
    }
    if status != "running":
        members |= _ending(flow_run, outcome or Outcome())
    if status == "error":
        members["error"] = _cause(flow_run, outcome or Outcome())
    return Job(**members)


def flow_run_url(run_id: UUID) -> str | None:
    """Where the run is seen in Prefect's UI."""
    return url_for("flow-run", run_id)


def _ending(flow_run: FlowRun, outcome: Outcome) -> dict[str, Any]:
    if outcome.result is None:
        return {"finished_at": _iso(flow_run.end_time or flow_run.updated)}
    return {"finished_at": _iso(outcome.result.finished_at), **_given(outcome.result)}


def _given(result: AgentResult) -> dict[str, Any]:
    members: dict[str, Any] = {
        "exit_code": result.exit_code,
        "output": result.output,
        "stderr": result.stderr,
        "result": result.text,
        "cost_usd": result.cost_usd,
    }
    if result.structured is not None:
        members["structured"] = result.structured
    if result.workspace is not None:
        members["workspace"] = result.workspace
    return members


def _cause(flow_run: FlowRun, outcome: Outcome) -> str:
    """Why there is nothing better to say: ours if we know it, else what Prefect noted."""
    state = flow_run.state
    noted = (state.message or _STATES.get(state.name or "", f"the run ended as {state.name}")) if state else ""
    return shorten_cause(outcome.error or noted)


_STATES = {"Cancelled": "cancelled"}
"""What is said of states that come without a word, as they do from Prefect's own UI."""


def _iso(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""
