"""Snapshot, Identity, Checkout, Resumption: the git state that a run starts from."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from agent.domain.values import Frozen


def refuse_control_characters(text: str) -> str:
    """Return text that is safe as one line of a config file or commit message; raises ValueError."""
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("must be one line without control characters")
    return text


AGENT_TRAILER = "Agent"
RUN_TRAILER = "Agent-Run"

Line = Annotated[str, AfterValidator(refuse_control_characters)]


class Snapshot(Frozen):
    """A commit of a workspace, as a sync found it; checkouts are made of it."""

    workspace: str
    ref: str = Field(description="As requested, or the workspace's own branch.")
    commit: str
    branch: str | None = Field(default=None, description="The branch that ref names; None: a tag or a commit.")
    is_own_ref: bool = Field(default=True, description="The ref is the workspace's own, not one that a request named.")
    stale: bool = False
    stale_reason: str | None = None
    fetched_at: datetime
    mirror: Path
    remote_path: Path | None = Field(default=None, description="The remote's path, if it is on this machine.")


class Identity(Frozen):
    """The author of an agent's commits, and the trailers that name its run."""

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
    """The working tree of a slot, made for one run."""

    path: Path
    snapshot: Snapshot
    read_paths: tuple[Path, ...] = Field(
        default=(), description="Other paths that git reads, e.g. the mirror's objects."
    )


class Resumption(Frozen):
    """The files and the CLI session of a suspended run; an earlier host left them, the next one continues with them."""

    checkout: Checkout
    session_id: str
