"""What a run is given in git: the commit it starts on, and the name it commits under."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from agent.domain.values import Frozen


def refuse_control_characters(text: str) -> str:
    """A value for one line of a config file or of a commit message."""
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("must be one line without control characters")
    return text


AGENT_TRAILER = "Agent"
RUN_TRAILER = "Agent-Run"

Line = Annotated[str, AfterValidator(refuse_control_characters)]


class Snapshot(Frozen):
    """A commit of a workspace that a slot can be made ready at."""

    workspace: str
    ref: str = Field(description="As asked for, or the workspace's own branch.")
    commit: str
    branch: str | None = Field(default=None, description="The branch that ref names; None: a tag or a commit.")
    is_own_ref: bool = Field(default=True, description="It is the workspace's own ref, not another of a request's.")
    stale: bool = False
    stale_reason: str | None = None
    fetched_at: datetime
    mirror: Path
    remote_path: Path | None = Field(default=None, description="Where the remote lies, if it is on this machine.")


class Identity(Frozen):
    """Who an agent's commits are by, and which run they say they come from."""

    name: Line | None = Field(default=None, description="None: GIT_AUTHOR_NAME of the settings.")
    email: Line | None = Field(default=None, description="None: GIT_AUTHOR_EMAIL of the settings.")
    agent: Line | None = None
    run_id: Line | None = None
    trailers: dict[Line, Line] = Field(default={}, description="Added to each commit message, by name.")

    @property
    def all_trailers(self) -> dict[str, str]:
        """The trailers of a commit message, the run's own among them."""
        own = {AGENT_TRAILER: self.agent, RUN_TRAILER: self.run_id}
        return {**self.trailers, **{name: value for name, value in own.items() if value}}


class Checkout(Frozen):
    """A slot's working tree, ready for one run."""

    path: Path
    snapshot: Snapshot
    read_paths: tuple[Path, ...] = Field(default=(), description="What else must be readable for it to work.")


class Resumption(Frozen):
    """What a run goes on with that was broken off: its files, and its session in its private directory."""

    checkout: Checkout
    session_id: str
