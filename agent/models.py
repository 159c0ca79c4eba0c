"""The domain's words: what a caller asks of an agent, and what the agent gave back."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

Effort = Literal["low", "medium", "high", "xhigh", "max"]
"""The levels that the pinned CLI's `--effort` takes (`claude --help`)."""

OnCrash = Literal["fail", "resume"]

Ending = Literal["exit", "timeout", "stalled", "cancelled", "disk"]
"""Why the agent's process is no longer there: by itself, or who ended it."""


def refuse_nul(text: str) -> str:
    """Text that databases and processes can hold: no NUL in it."""
    if "\0" in text:
        raise ValueError("must not contain a NUL character; remove it and send the request again")
    return text


def refuse_blank(text: str) -> str:
    """Text with something to read in it: the CLI refuses a blank prompt."""
    if not text.strip():
        raise ValueError("must not be blank; say what the agent is to do")
    return text


def refuse_unsafe_name(name: str) -> str:
    """A name or path that nothing takes for an option, a way out of its folder, or a second line."""
    if not name.strip():
        raise ValueError("must not be blank")
    if name.startswith("-"):
        raise ValueError("must not begin with '-'")
    if ".." in name.split("/"):
        raise ValueError("must not contain '..'")
    if any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in name):
        raise ValueError("must not contain control or invisible characters")
    return name


Text = Annotated[str, AfterValidator(refuse_nul)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(refuse_unsafe_name)]


class Frozen(BaseModel):
    """A value: built once, read by many."""

    model_config = ConfigDict(frozen=True)


class AgentRequest(Frozen):
    """One thing asked of one agent; the only parameter of the flow `agent_run`."""

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
    workspace: Name = Field(default="default", title="Workspace", description="The name of a configured workspace.")
    ref: Name | None = Field(
        default=None, title="Ref", description="A branch, tag or commit instead of the workspace's own."
    )
    on_crash: OnCrash = Field(
        default="fail",
        title="After a crash",
        description="What becomes of the run when its host dies or stops: it fails, or the agent carries on.",
    )
    strict_workspace: bool = Field(
        default=False, title="Strict workspace", description="A remote that is away fails the run."
    )
    metadata: dict[str, JsonValue] | None = Field(
        default=None, title="Metadata", description="Echoed back to the caller; the agent never sees it."
    )
    input_id: str | None = Field(
        default=None,
        title="Stored input",
        description="Set by the service: where a prompt too large for Prefect is kept.",
    )


class Usage(Frozen):
    """Tokens that a run used, all its model calls together."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0

    @property
    def prompt_tokens(self) -> int:
        """Everything the model read, cached or not."""
        return self.input_tokens + self.cache_read_input_tokens + self.cache_creation_input_tokens


class Commit(Frozen):
    """A commit that the agent made."""

    sha: str
    subject: str
    pushed: bool


class WorkspaceReport(Frozen):
    """The state a run started from in git, and what the agent changed there."""

    name: str
    ref: str
    commit: str
    stale: bool = False
    stale_reason: str | None = None
    commits: list[Commit] = []
    files_changed: list[str] = []
    diffstat: str = ""
    diff: str = Field(default="", description="What changed, as a patch, cut at DIFF_MAX_BYTES.")
    diff_cut: bool = Field(default=False, description="There is more to the diff than is shown.")
    kept_ref: str | None = Field(default=None, description="Where unpushed work is kept in the mirror.")
    notes: list[str] = Field(default=[], description="What a reader must know, e.g. what could not be kept.")


class Invocation(Frozen):
    """What came out of one process of the CLI, not yet judged."""

    started_at: datetime
    finished_at: datetime
    ending: Ending
    acted: bool = Field(description="The model said something or called a tool: not safe to do again.")
    exit_code: int | None
    session_id: str | None = None
    model: str | None = None
    result_line: str | None = Field(description="The CLI's result message, the JSON text as printed.")
    printed: str = Field(default="", description="Text on stdout that was no message: its last 64 KiB.")
    stderr: str = Field(default="", description="The last 64 KiB of stderr.")


class AgentResult(Frozen):
    """How a run ended and what it gave; the return value of the flow `agent_run`."""

    started_at: datetime
    finished_at: datetime
    ending: Ending = "exit"
    exit_code: int | None
    output: list[str]
    stderr: str
    text: str | None
    structured: JsonValue | None = None
    cost_usd: float | None = None
    usage: Usage = Usage()
    turns: int | None = None
    session_id: str | None = None
    model: str | None = None
    error: str | None = Field(default=None, description="In one line, why this is not a good ending.")
    workspace: WorkspaceReport | None = None

    @property
    def duration_seconds(self) -> float:
        """From the agent's start to its end."""
        return (self.finished_at - self.started_at).total_seconds()


class Outcome(Frozen):
    """What there is to say of a run once it is over: the agent's result, or why there is none."""

    result: AgentResult | None = None
    error: str | None = None
