"""The time of a mirror's last fetch, and the failure of its last attempt."""

from __future__ import annotations

from pydantic import Field

from agent.domain.values import Frozen
from agent.git.git import GitError


class FetchState(Frozen):
    """The last fetch of a mirror and the last successful one, in seconds since the epoch; one file per mirror."""

    tried_at: float = 0.0
    good_at: float = 0.0
    error: str | None = Field(default=None, description="Why the last attempt failed.")
    exit_status: int | None = None
    retryable: bool = True
    doubted: bool = Field(default=False, description="A run could not read what it needed.")

    def failure(self) -> GitError:
        """Return the error of the last attempt again."""
        return GitError("git fetch", self.exit_status, self.error or "", retryable=self.retryable)

    def after(self, error: GitError, began: float) -> FetchState:
        """Return the state after an attempt that failed."""
        return FetchState(
            tried_at=began,
            good_at=self.good_at,
            error=error.stderr_tail or str(error),
            exit_status=error.exit_status,
            retryable=error.retryable,
            doubted=self.doubted,
        )
