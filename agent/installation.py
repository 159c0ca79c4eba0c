"""The CLI on this machine, and the credential for its model calls."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from agent.errors import NotConfigured
from agent.settings import AgentSettings


def find_cli(settings: AgentSettings) -> Path:
    """The CLI to run; raises NotConfigured when it is missing or may not be executed."""
    path = settings.claude_cli or _bundled()
    if path is None or not path.is_file():
        raise NotConfigured(
            f"no claude CLI at {path}; install claude-agent-sdk, or set CLAUDE_CLI to the binary's path"
        )
    if not os.access(path, os.X_OK):
        raise NotConfigured(f"{path} is not executable; run `chmod +x {path}`, or set CLAUDE_CLI to another one")
    return path


def find_credential(settings: AgentSettings) -> tuple[str, str]:
    """The variable and the value that the CLI authenticates with; raises NotConfigured when none is set."""
    if settings.anthropic_api_key is not None and settings.anthropic_api_key.get_secret_value():
        return "ANTHROPIC_API_KEY", settings.anthropic_api_key.get_secret_value()
    if settings.claude_code_oauth_token is not None and settings.claude_code_oauth_token.get_secret_value():
        return "CLAUDE_CODE_OAUTH_TOKEN", settings.claude_code_oauth_token.get_secret_value()
    raise NotConfigured(
        "no credential for the model: set ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN and start again "
        "(`make demo` shows the service without one)"
    )


def _bundled() -> Path | None:
    """The binary in the wheel, found without importing the package, which takes 1.6 s."""
    spec = find_spec("claude_agent_sdk")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "_bundled" / "claude"
