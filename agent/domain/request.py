"""AgentRequest: what a caller asks of an agent."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue, model_validator

from agent.domain.sealing import seal, unseal
from agent.domain.values import Frozen, Name, Text

Effort = Literal["low", "medium", "high", "xhigh", "max"]
"""The levels that the pinned CLI's `--effort` takes (`claude --help`)."""

ToolName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,99}$")]
"""A tool of the CLI, e.g. Read. Without rules in brackets: a list of tools restricts, and allows nothing."""

OnCrash = Literal["fail", "resume"]


def refuse_blank(text: str) -> str:
    """Return text that is not blank, for the CLI refuses a blank prompt; raises ValueError."""
    if not text.strip():
        raise ValueError("must not be blank; say what the agent is to do")
    return text


class AgentRequest(Frozen):
    """One prompt for one agent, with its limits; the only parameter of the flow `agent_run`."""

    prompt: Annotated[Text, AfterValidator(refuse_blank)] = Field(
        title="Prompt",
        description="What the agent is to do, in plain words.",
        json_schema_extra={"position": 0},
    )
    agent: Name = Field(
        title="Agent",
        description="The agent's name, or the path of its definition (.claude/agents/NAME).",
        examples=["recruiter-triage", ".claude/agents/service-upgrade"],
    )
    model: Name | None = Field(
        default=None,
        title="Model",
        description="A model to use instead of the one that the agent's own file names.",
    )
    effort: Effort | None = Field(default=None, title="Effort", description="How hard the model thinks.")
    max_budget_usd: float = Field(
        default=5.0,
        gt=0,
        allow_inf_nan=False,
        title="Budget in US dollars",
        description="The run ends once it has cost this much.",
    )
    timeout_seconds: int = Field(
        default=2700,
        ge=1,
        title="Time limit in seconds",
        description="Counted from the moment the agent starts; waiting does not count.",
    )
    max_turns: int | None = Field(
        default=None, ge=1, le=10_000, title="Turns", description="The most turns the agent may take."
    )
    json_schema: dict[str, Any] | None = Field(
        default=None, title="Answer schema", description="A JSON Schema that the answer must satisfy."
    )
    instructions: Text | None = Field(
        default=None, title="Instructions", description="Added to the agent's own instructions."
    )
    tools: list[ToolName] | None = Field(
        default=None, title="Tools", description="The CLI's tools that the agent has, and no MCP servers; unset: all."
    )
    network: Literal["none"] | None = Field(
        default=None, title="Network", description="`none`: the model's API alone; unset: as AGENT_NETWORK says."
    )
    workspace: Name = Field(default="default", title="Workspace", description="The name of a configured workspace.")
    ref: Name | None = Field(
        default=None, title="Ref", description="A branch, tag or commit instead of the workspace's own."
    )
    on_crash: OnCrash = Field(
        default="fail",
        title="After a crash",
        description="What happens to the run when its host dies or stops: it fails, or the agent resumes.",
    )
    strict_workspace: bool = Field(
        default=False, title="Strict workspace", description="A remote that is away fails the run."
    )
    metadata: dict[str, JsonValue] | None = Field(
        default=None, title="Metadata", description="Echoed back to the caller; the agent never sees it."
    )
    files_id: str | None = Field(
        default=None,
        title="Stored files",
        description="Set by the service: where files for the agent, e.g. attachments, are kept.",
    )
    input_id: str | None = Field(
        default=None,
        title="Stored input",
        description="Set by the service: where a prompt too large for Prefect is kept.",
    )
    sealed: str | None = Field(
        default=None,
        title="Sealed members",
        description="Set by the service: members that Prefect must not interpret, as JSON.",
    )

    @model_validator(mode="before")
    @classmethod
    def open_sealed_members(cls, values: Any) -> Any:
        """Open what `as_parameter` sealed."""
        return unseal(values)

    def as_parameter(self) -> dict[str, Any]:
        """Return the request as a parameter of the flow: what a caller wrote freely is one opaque value in it."""
        return seal(self.model_dump(mode="json"), ("metadata", "json_schema"))
