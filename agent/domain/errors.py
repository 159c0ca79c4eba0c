"""The error tree of the runtime.

    AgentError
    ├── RequestRefused      the request asks for more than this service allows
    ├── NotConfigured       the operator has to set something first
    ├── AgentUnknown        no agent of that name in the workspace
    ├── AgentBusy           no slot became free in time
    ├── AgentPaused         an operator has paused all agents
    ├── DiskFull            there is too little room under the state directory
    ├── SpawnFailed         the CLI could not be started
    ├── WorkspaceError      git could not make a checkout
    ├── AgentOverloaded     the provider was overloaded before the agent did anything
    ├── AgentFailed         the agent ran and failed
    └── AgentTimedOut       the agent ran past its time limit, or printed nothing for too long

The message is one line for the caller; facts are attributes.
"""

from __future__ import annotations

from agent.domain.result import AgentResult


class AgentError(Exception):
    """An error of the runtime: `problem` says what failed, `remedy` what to do; the message is both.

    `retryable` is True if doing it again is safe and may help.
    """

    retryable = False

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem}; {remedy}" if remedy else problem)


class RequestRefused(AgentError):
    """The request asks for more than this service allows."""


class NotConfigured(AgentError):
    """The operator has to set something first; the message names it."""


class AgentUnknown(AgentError):
    """No agent of that name in the workspace."""

    def __init__(self, name: str, available: list[str]) -> None:
        self.name = name
        self.available = sorted(available)
        known = ", ".join(self.available) or "none"
        super().__init__(f"agent {name!r} not found; this workspace has: {known}")


class AgentBusy(AgentError):
    """No slot became free in time."""

    def __init__(self, message: str = "agent is busy") -> None:
        super().__init__(message)


class AgentPaused(AgentError):
    """An operator has paused all agents."""

    def __init__(self) -> None:
        super().__init__("agents are paused by the operator", "`agent-service resume` ends it")


class DiskFull(AgentError):
    """There is too little room under the state directory to take work."""

    def __init__(self) -> None:
        super().__init__("the service's disk is nearly full: no work is taken until there is room; try again later")


class SpawnFailed(AgentError):
    """The CLI could not be started; no agent has run."""

    retryable = True


class WorkspaceError(AgentError):
    """Git could not make a checkout."""

    def __init__(self, problem: str, remedy: str = "", *, retryable: bool = False) -> None:
        self.retryable = retryable
        super().__init__(problem, remedy)


class EndedBadly(AgentError):
    """The agent ran and did not succeed; `result` has its output, cost and usage."""

    def __init__(self, result: AgentResult) -> None:
        self.result = result
        super().__init__(result.error or "the agent failed")


class AgentOverloaded(EndedBadly):
    """The provider was overloaded before the agent did anything: safe to try again."""

    retryable = True


class AgentFailed(EndedBadly):
    """The agent ran and failed."""


class AgentTimedOut(EndedBadly, TimeoutError):
    """The agent ran past its time limit, or printed nothing for too long.

    A TimeoutError as well: Prefect gives such a run the state TimedOut.
    """
