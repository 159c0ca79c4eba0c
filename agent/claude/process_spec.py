"""The properties of a CLI process that are fixed at start; matches running processes to requests."""

from __future__ import annotations

import re
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
        """Return the spec of a process for `request`; each spelling of a branch gives the same."""
        spec = cls(**{name: getattr(request, name) for name in cls.model_fields})
        return spec.model_copy(update={"ref": short_ref(spec.ref)}) if spec.ref else spec

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


def short_ref(ref: str) -> str:
    """Return `main` for `refs/heads/main` and `heads/main`, unless the short name could be a commit's.

    What it means in the end, a tag of that name perhaps, the snapshot of the checkout tells.
    """
    name = re.sub(r"^(refs/)?heads/", "", ref)
    return ref if re.fullmatch(r"[0-9a-fA-F]{4,40}", name) else name
