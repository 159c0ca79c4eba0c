"""The body of POST /execute."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Any

from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, BeforeValidator, Field, StrictBool

from agent.domain.request import AgentRequest, Effort, OnCrash, refuse_blank
from agent.domain.values import Frozen, Name, Text
from agent.settings import AgentSettings
from api.http.field_types import AnswerSchema, JsonObject, Moment
from deployments.host.run_metadata import TRIGGER
from deployments.pools import Priority

_MOST_WARNINGS = 20


def refuse_boolean(value: object) -> object:
    """Return the value. Raises ValueError for a boolean, which Python takes for a number."""
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def refuse_trigger(tag: str) -> str:
    """Return the tag. Raises ValueError for one that says how the run was triggered: only the service sets those."""
    if tag.startswith(TRIGGER):
        raise ValueError(f"must not begin with '{TRIGGER}'")
    return tag


Tag = Annotated[Name, AfterValidator(refuse_trigger)]


class JobRequest(Frozen):
    """The body of POST /execute; members that are not listed here are ignored."""

    prompt: Annotated[Text, AfterValidator(refuse_blank)] = Field(
        description="The task of the agent.",
        examples=["Upgrade the proxy."],
        json_schema_extra={"pattern": r"\S"},
    )
    agent: Name = Field(
        description="The agent's name, or the path of its definition.",
        examples=["beads-task-runner", ".claude/agents/service-upgrade"],
    )
    max_budget_usd: Annotated[float, BeforeValidator(refuse_boolean)] = Field(
        default=5.0, gt=0, allow_inf_nan=False, description="US dollars; the run ends when its cost reaches them."
    )
    timeout_seconds: Annotated[int, BeforeValidator(refuse_boolean)] = Field(
        default=2700, ge=1, description="Counted from the start of the agent; the time in the queue does not count."
    )
    metadata: JsonObject | None = Field(default=None, description="Returned with the job; the agent does not see it.")
    model: Name | None = Field(default=None, description="Overrides the model in the agent's file.")
    effort: Effort | None = Field(default=None, description="The model's reasoning effort.")
    json_schema: AnswerSchema | None = Field(default=None, description="A JSON Schema that the answer must satisfy.")
    max_turns: Annotated[int, BeforeValidator(refuse_boolean)] | None = Field(
        default=None, ge=1, le=10_000, description="The most turns the agent may take."
    )
    workspace: Name = Field(default="default", description="The name of a configured workspace.")
    ref: Name | None = Field(default=None, description="A branch, tag or commit; default: the workspace's own.")
    on_crash: OnCrash = Field(
        default="fail",
        description="After a host stops or crashes: the job fails, or another host resumes it with its files.",
    )
    strict_workspace: StrictBool = Field(
        default=False,
        description="Fail the run if its remote cannot be reached; default: start from the last good state.",
    )
    priority: Priority = Field(default="default", description="The work queue of the job; `high` starts first.")
    run_at: Moment | None = Field(default=None, description="Start no earlier than this: ISO 8601 with offset.")
    tags: list[Tag] = Field(default=[], max_length=20, description="Tags of the run in Prefect.")

    def agent_request(self) -> AgentRequest:
        """Return the request of the domain."""
        return AgentRequest(**self.model_dump(exclude={"tags", "priority", "run_at"}))


def ignored_members(body: dict[str, Any]) -> list[str]:
    """Return a sentence for each member that JobRequest does not have, with the member that may be meant."""
    return [_ignored(name) for name in body if name not in JobRequest.model_fields][:_MOST_WARNINGS]


def _ignored(name: str) -> str:
    near = get_close_matches(name, JobRequest.model_fields, n=1)
    meant = f"; did you mean `{near[0]}`?" if near else ""
    return f"unknown member `{name[:100]}` is ignored{meant}"


def check_maxima(body: JobRequest, settings: AgentSettings) -> None:
    """Raise RequestValidationError for a budget or a time limit above the operator's maximum."""
    bounds = (
        ("max_budget_usd", body.max_budget_usd, settings.max_budget_usd_limit),
        ("timeout_seconds", body.timeout_seconds, settings.max_timeout_seconds_limit),
    )
    errors = [_too_much(name, value, most) for name, value, most in bounds if value > most]
    if errors:
        raise RequestValidationError(errors)


def check_workspace(body: JobRequest, settings: AgentSettings) -> None:
    """Raise RequestValidationError, with the list, for a workspace that is not configured."""
    known = settings.workspace_names
    if body.workspace not in known:
        message = f"Input should be one of: {', '.join(known)}"
        raise RequestValidationError(
            [{"type": "enum", "loc": ("body", "workspace"), "msg": message, "input": body.workspace}]
        )


def _too_much(name: str, value: float, most: float) -> dict[str, object]:
    message = f"Input should be less than or equal to {most:g}"
    return {"type": "less_than_equal", "loc": ("body", name), "msg": message, "input": value, "ctx": {"le": most}}
