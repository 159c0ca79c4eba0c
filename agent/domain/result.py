"""AgentResult, Outcome and their parts: what a run returned."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field, JsonValue

from agent.domain.values import Frozen

Ending = Literal["exit", "timeout", "stalled", "cancelled", "disk", "output"]
"""Why the agent's process ended: `exit` is its own end, the others are ours."""


class Usage(Frozen):
    """Tokens that a run used, all its model calls together."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0

    @property
    def prompt_tokens(self) -> int:
        """All tokens that the model read, cached or not."""
        return self.input_tokens + self.cache_read_input_tokens + self.cache_creation_input_tokens


class Commit(Frozen):
    """A commit that the agent made."""

    sha: str
    subject: str
    pushed: bool


class WorkspaceReport(Frozen):
    """The commit that a run started from, and what the agent changed in git."""

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


class Refusal(Frozen):
    """The provider's last refusal of a model call, and how long it lasts; `scope` says whom it is for."""

    kind: Literal["credential_refused", "usage_limit", "overloaded", "unreachable"]
    scope: Literal["request", "model", "credential", "everybody"]
    message: str
    until: datetime | None = None

    @property
    def is_lasting(self) -> bool:
        """To ask again in a moment is of no use."""
        return self.kind in ("credential_refused", "usage_limit")


class Invocation(Frozen):
    """The raw output of one CLI process, before `read_result`."""

    started_at: datetime
    finished_at: datetime
    ending: Ending
    acted: bool = Field(description="The model said something or called a tool: not safe to repeat.")
    exit_code: int | None
    session_id: str | None = None
    model: str | None = None
    result_line: str | None = Field(
        description="The CLI's result message, the JSON text as printed; of several, the last, with what it lacks."
    )
    violation: str | None = Field(default=None, description="Where the answer violates the schema of the request.")
    hook_reason: str | None = Field(default=None, description="Why a hook stopped the agent, in the hook's words.")
    printed: str = Field(default="", description="Text on stdout that was no message: its last 64 KiB.")
    stderr: str = Field(default="", description="The last 64 KiB of stderr.")
    refusal: Refusal | None = Field(default=None, description="Its last model call was refused, for this reason.")
    counted_usd: float | None = Field(
        default=None, ge=0, description="US dollars of its model calls as the provider proxy counted them."
    )
    counted_usage: Usage | None = Field(default=None, description="Tokens of its model calls, counted there too.")


class AgentResult(Frozen):
    """The end of a run and its answer; the return value of the flow `agent_run`."""

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
    error: str | None = Field(default=None, description="One line: why the run failed; None for a success.")
    workspace: WorkspaceReport | None = None

    @property
    def duration_seconds(self) -> float:
        """Seconds from the agent's start to its end."""
        return (self.finished_at - self.started_at).total_seconds()


class Outcome(Frozen):
    """The stored end of a run: the agent's result, or why there is none."""

    result: AgentResult | None = None
    error: str | None = None
