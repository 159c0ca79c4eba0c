"""What the runtime can be told; the edge reads it from the environment and passes it down."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from agent.models import Frozen


def default_state_dir() -> Path:
    """The user's state directory, as the XDG base directory specification names it."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "claude-agent-service"


class AgentSettings(Frozen):
    """Each field is an environment variable of the same name in capitals."""

    state_dir: Path = Field(
        default_factory=default_state_dir, description="Everything the service writes lies under it."
    )
    claude_cli: Path | None = Field(
        default=None, description="The claude binary; unset: the one in the pinned claude-agent-sdk wheel."
    )
    agent_capacity: int | None = Field(
        default=None, ge=1, le=1000, description="Agents at once on this host; unset: sized to the machine."
    )
    agent_sandbox: Literal["auto", "bwrap", "off"] = Field(
        default="auto", description="auto: bubblewrap where it works; bwrap: refuse to run without it."
    )
    agent_env_allow: list[str] = Field(
        default=[], description="Variables of the service's environment that agents get, by name."
    )
    agent_read_paths: list[Path] = Field(default=[], description="Paths that agents may read besides the system's.")
    agent_write_paths: list[Path] = Field(default=[], description="Paths that agents may write besides their checkout.")
    agent_config_template: Path | None = Field(
        default=None, description="A CLI config directory that each run starts from (agents, settings, MCP)."
    )
    agent_stall_seconds: int = Field(
        default=1800, ge=1, description="A run that says nothing for so long, outside a tool call, is ended."
    )
    max_budget_usd_limit: float = Field(
        default=1000.0, gt=0, description="The largest budget a request may ask for, in US dollars."
    )
    max_timeout_seconds_limit: int = Field(
        default=86_400, ge=1, description="The longest time limit a request may ask for."
    )
    workspace_dir: str | None = Field(
        default=None,
        description="The git checkout, bare repository or URL that agents work from; unset: /workspace/infra "
        "if it exists, else one under STATE_DIR.",
    )
    fetch_debounce_seconds: float = Field(default=15.0, ge=0, description="How fresh is fresh enough for a workspace.")
    anthropic_api_key: SecretStr | None = Field(
        default=None, description="For the agents' model calls, and nothing else."
    )
    claude_code_oauth_token: SecretStr | None = Field(
        default=None, description="The other kind of credential for the agents' model calls."
    )
    anthropic_base_url: str | None = Field(
        default=None, description="Where the model is served; unset: the provider's own address."
    )
