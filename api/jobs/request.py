"""What `POST /execute` takes."""

from __future__ import annotations

from typing import Annotated

from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, BeforeValidator, Field, StrictBool

from agent.domain.request import AgentRequest, Effort, OnCrash, refuse_blank
from agent.domain.values import Frozen, Name, Text
from agent.settings import AgentSettings
from api.http.field_types import AnswerSchema, JsonObject, Moment
from deployments.host.run_metadata import TRIGGER
from deployments.pools import Priority


def refuse_boolean(value: object) -> object:
    """True is no number, though Python thinks so."""
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def refuse_trigger(tag: str) -> str:
    """A tag that does not say who asked: that is ours to say."""
    if tag.startswith(TRIGGER):
        raise ValueError(f"must not begin with '{TRIGGER}'")
    return tag


Tag = Annotated[Name, AfterValidator(refuse_trigger)]


class JobRequest(Frozen):
    """What an agent is to do in the background; members not listed here are ignored."""

    prompt: Annotated[Text, AfterValidator(refuse_blank)] = Field(
        description="What the agent is to do.",
        examples=["Upgrade the proxy."],
        json_schema_extra={"pattern": r"\S"},
    )
    agent: Name = Field(
        description="The agent's name, or the path of its definition.",
        examples=["beads-task-runner", ".claude/agents/service-upgrade"],
    )
    max_budget_usd: Annotated[float, BeforeValidator(refuse_boolean)] = Field(
        default=5.0, gt=0, allow_inf_nan=False, description="The run ends once it has cost this much."
    )
    timeout_seconds: Annotated[int, BeforeValidator(refuse_boolean)] = Field(
        default=2700, ge=1, description="Counted from the agent's start; waiting does not count."
    )
    metadata: JsonObject | None = Field(default=None, description="Echoed back; the agent never sees it.")
    model: Name | None = Field(default=None, description="Instead of the model that the agent's own file names.")
    effort: Effort | None = Field(default=None, description="How hard the model thinks.")
    json_schema: AnswerSchema | None = Field(default=None, description="A JSON Schema that the answer must satisfy.")
    max_turns: Annotated[int, BeforeValidator(refuse_boolean)] | None = Field(
        default=None, ge=1, le=10_000, description="The most turns the agent may take."
    )
    workspace: Name = Field(default="default", description="The name of a configured workspace.")
    ref: Name | None = Field(default=None, description="A branch, tag or commit instead of the workspace's own.")
    on_crash: OnCrash = Field(
        default="fail",
        description="When the host dies or stops: the job fails, or its agent carries on with its session and files.",
    )
    strict_workspace: StrictBool = Field(
        default=False, description="A remote that is away fails the run, which else starts from the last good state."
    )
    priority: Priority = Field(default="default", description="Which work queue it waits in: high goes first.")
    run_at: Moment | None = Field(default=None, description="Not before that moment: ISO 8601 with offset.")
    tags: list[Tag] = Field(default=[], max_length=20, description="Tags of the run in Prefect.")

    def agent_request(self) -> AgentRequest:
        """The same in the domain's words."""
        return AgentRequest(**self.model_dump(exclude={"tags", "priority", "run_at"}))


def check_maxima(asked: JobRequest, settings: AgentSettings) -> None:
    """Raises RequestValidationError, in the form of all others, for what lies past the operator's maxima."""
    bounds = (
        ("max_budget_usd", asked.max_budget_usd, settings.max_budget_usd_limit),
        ("timeout_seconds", asked.timeout_seconds, settings.max_timeout_seconds_limit),
    )
    errors = [_too_much(name, value, most) for name, value, most in bounds if value > most]
    if errors:
        raise RequestValidationError(errors)


def check_workspace(asked: JobRequest, settings: AgentSettings) -> None:
    """Raises RequestValidationError, with the list, for a workspace that there is not."""
    known = settings.workspace_names
    if asked.workspace not in known:
        message = f"Input should be one of: {', '.join(known)}"
        raise RequestValidationError(
            [{"type": "enum", "loc": ("body", "workspace"), "msg": message, "input": asked.workspace}]
        )


def _too_much(name: str, value: float, most: float) -> dict[str, object]:
    message = f"Input should be less than or equal to {most:g}"
    return {"type": "less_than_equal", "loc": ("body", name), "msg": message, "input": value, "ctx": {"le": most}}
