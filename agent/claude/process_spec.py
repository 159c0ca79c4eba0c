"""What a process of the CLI is made for and cannot be told otherwise once it has started."""

from __future__ import annotations

from agent.domain.request import AgentRequest, Effort
from agent.domain.values import Frozen
from agent.settings import DEFAULT_WORKSPACE

ANY = "*"
"""In the place of the agent of a spare."""


class ProcessSpec(Frozen):
    """The part of a request that is on the command line, or in the files that the CLI reads as it starts."""

    agent: str
    max_budget_usd: float
    model: str | None = None
    effort: Effort | None = None
    max_turns: int | None = None
    workspace: str = DEFAULT_WORKSPACE
    ref: str | None = None

    @classmethod
    def of(cls, request: AgentRequest) -> ProcessSpec:
        """What a process for `request` has to be made for."""
        return cls(**{name: getattr(request, name) for name in cls.model_fields})

    def for_any(self) -> ProcessSpec:
        """What a spare has to be made for, so that it can become this one."""
        return self.model_copy(update={"agent": ANY, "model": None, "ref": None})

    def suits(self, wanted: ProcessSpec) -> bool:
        """Whether a process made for this one can still be told to be for `wanted`: the model can be changed."""
        if self.model is not None and wanted.model is None:  # there is no way to say: whatever the agent's file names
            return False
        return self == wanted.model_copy(update={"model": self.model})

    def suits_any_agent(self, wanted: ProcessSpec) -> bool:
        """Whether a spare made like this one can be claimed for `wanted`: it is told agent, model and ref then."""
        return self.for_any() == wanted.for_any()
