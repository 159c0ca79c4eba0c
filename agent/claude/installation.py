"""Finds the CLI on this machine."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from agent.domain.errors import NotConfigured
from agent.settings import AgentSettings


def find_cli(settings: AgentSettings) -> Path:
    """Return the CLI's path; raises NotConfigured if it is missing or not executable."""
    path = settings.claude_cli or _bundled()
    if path is None or not path.is_file():
        raise NotConfigured(
            f"no claude CLI at {path}", "install claude-agent-sdk, or set CLAUDE_CLI to the binary's path"
        )
    if not os.access(path, os.X_OK):
        raise NotConfigured(f"{path} is not executable", f"run `chmod +x {path}`, or set CLAUDE_CLI to another one")
    return path


def _bundled() -> Path | None:
    # to import the package takes 1.6 s
    spec = find_spec("claude_agent_sdk")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "_bundled" / "claude"
