"""The properties of a CLI process that are fixed at start; matches running processes to requests."""

from __future__ import annotations

from typing import Literal

from agent.domain.request import AgentRequest, Effort
from agent.domain.values import Frozen
from agent.settings import DEFAULT_WORKSPACE

ANY_AGENT = "*"
"""The agent of a spare's spec."""


class ProcessSpec(Frozen):
    """The parts of a request that are arguments of the CLI, or decide which files it reads at start."""

    agent: str
    max_budget_usd: float
    model: str | None = None
    effort: Effort | None = None
    max_turns: int | None = None
    workspace: str = DEFAULT_WORKSPACE
    ref: str | None = None
    tools: tuple[str, ...] | None = None
    network: Literal["none"] | None = None

    @classmethod
    def of(cls, request: AgentRequest) -> ProcessSpec:
        """Return the spec of a process for `request`."""
        return cls(**{name: getattr(request, name) for name in cls.model_fields})

    def as_spare(self) -> ProcessSpec:
        """Return the spec of a spare that can become this one."""
        return self.model_copy(update={"agent": ANY_AGENT, "model": None, "ref": None})

    def matches(self, wanted: ProcessSpec) -> bool:
        """True if a process of this spec can serve `wanted`; its model can still be changed."""
        # no message sets the model back to the one in the agent's file
        if self.model is not None and wanted.model is None:
            return False
        return self == wanted.model_copy(update={"model": self.model})

    def matches_as_spare(self, wanted: ProcessSpec) -> bool:
        """True if a spare of this spec can serve `wanted`; agent, model and ref are set by the claim."""
        return self.as_spare() == wanted.as_spare()
