"""The private directory of a run: empty home, CLI config directory, temporary files."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.domain.checkout import Checkout
from agent.domain.values import Frozen
from agent.system.concurrency import run_to_completion
from agent.system.files import remove

SESSION = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class RunDirectory(Frozen):
    """The directory of one run, which goes with it."""

    directory: Path

    @property
    def home(self) -> Path:
        """Return the agent's home directory."""
        return self.directory / "home"

    @property
    def config(self) -> Path:
        """Return the CLI's config directory; its transcripts are in there."""
        return self.directory / "config"

    @property
    def tmp(self) -> Path:
        """Return the directory of the agent's temporary files."""
        return self.directory / "tmp"

    def session_id(self) -> str | None:
        """Return the session that the CLI has kept here last; None when no agent has begun.

        The agent can write there too: what is no UUID is no session, and never an option of a command line.
        """
        # CONFIG/projects/<working directory>/<session id>.jsonl, as the pinned CLI writes it
        found = [path for path in self.config.glob("projects/*/*.jsonl") if SESSION.fullmatch(path.stem)]
        return max(found, key=lambda path: path.lstat().st_mtime).stem if found else None

    def variables(self) -> dict[str, str]:
        """Return the variables that name it to an agent without a sandbox."""
        return {
            "HOME": str(self.home),
            "CLAUDE_CONFIG_DIR": str(self.config),
            "CLAUDE_CODE_TMPDIR": str(self.tmp),
            "TMPDIR": str(self.tmp),
        }


@dataclass(frozen=True)
class RunFiles:
    """What one run works on: its checkout, its private directory, and the id that both are for."""

    run_id: str
    checkout: Checkout
    private: RunDirectory
    offline: bool = False
    """True for a run without a network, whatever AGENT_NETWORK says of the others."""

    @property
    def gate(self) -> Path:
        """Return the pipe at which bubblewrap waits for the gateway to the network."""
        return self.private.directory / "gate"


@asynccontextmanager
async def private_directory(
    directory: Path, template: Path | None, is_kept: Callable[[], bool] = lambda: False
) -> AsyncIterator[RunDirectory]:
    """Make the private directory of a run, its CLI config after `template`; at the end it is removed, or kept.

    One that was kept is lent as the agent left it.
    """
    private = RunDirectory(directory=directory)
    await asyncio.to_thread(_make, private, template)
    try:
        yield private
    finally:
        if not is_kept():
            await run_to_completion(asyncio.to_thread(_take_away, directory))


def _take_away(directory: Path) -> None:
    """Remove what can be removed: where there is no sandbox, something may still be writing there."""
    with contextlib.suppress(OSError):
        remove(directory)


def _make(private: RunDirectory, template: Path | None) -> None:
    for path in (private.home, private.tmp):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    # never into one that an agent has had: it may have put links there, and a copy would follow them
    if template is not None and not private.config.exists():
        shutil.copytree(template, private.config, symlinks=True)
    private.config.mkdir(exist_ok=True, mode=0o700)
