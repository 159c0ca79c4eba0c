"""Settings of the runtime (AGENT_*, WORKSPACE_*, ANTHROPIC_*), read at the edge and passed down."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from agent.domain.model_price import ModelPrice
from agent.domain.values import Frozen, Name

DEFAULT_WORKSPACE = "default"
"""The name of the workspace that WORKSPACE_DIR sets."""


def default_state_dir() -> Path:
    """Return the service's directory under the user's state directory (XDG base directory specification)."""
    base = Path(os.environ.get("XDG_STATE_HOME") or "")
    if not base.is_absolute():  # the specification has a relative one ignored
        base = home_directory() / ".local" / "state"
    return base / "claude-agent-service"


def home_directory() -> Path:
    """Return the user's home directory. Raises ValueError for a user without one, e.g. a bare number in a container."""
    try:
        return Path.home()
    except RuntimeError:
        raise ValueError("this user has no home directory: HOME is not set, and there is no passwd entry") from None


def absolute_path(path: Path) -> Path:
    """Return `path` with `~` expanded, and absolute: parts of the service run in different directories."""
    try:
        return path.expanduser().absolute()
    except RuntimeError as error:
        raise ValueError(f"{path}: {error}") from None


def absolute_source(source: str) -> str:
    """Return a repository's address; where it is a path, with `~` expanded, and absolute."""
    # git's own rule: a colon before the first slash belongs to a URL or to HOST:PATH
    is_remote = ":" in source.partition("/")[0]
    # what git could take for an option stays one, and is refused where it is used
    return source if is_remote or source.startswith("-") else str(absolute_path(Path(source)))


def read_key(value: object) -> object:
    """Parse a key. White space at its ends is removed: it is often read from a file, with its line end.

    Raises ValueError for what no HTTP header can carry; the message does not show the key.
    """
    if not isinstance(value, str):
        return value
    key = value.strip()
    if key[:1] in ("'", '"'):
        raise ValueError("it has quotes around it; remove them")
    if not all("!" <= character <= "~" for character in key):
        raise ValueError("it has a space, a line end or another character that no key has")
    return key


def strip(value: object) -> object:
    """Remove the white space at the ends of a text."""
    return value.strip() if isinstance(value, str) else value


def check_base_url(url: str) -> str:
    """Return `url` without spaces at its ends. Raises ValueError for what is no http(s) URL."""
    url = url.strip()
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it is no URL; it begins with https:// or http://")
    return url


def read_list(value: object) -> object:
    """Parse a list in an environment variable: `A,B C`, or JSON."""
    if not isinstance(value, str):
        return value
    return json.loads(value) if value.lstrip().startswith("[") else value.replace(",", " ").split()


def read_json(value: object) -> object:
    """Parse a JSON object in an environment variable."""
    return json.loads(value) if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(read_list)]
LocalPath = Annotated[Path, AfterValidator(absolute_path)]
Paths = Annotated[list[LocalPath], BeforeValidator(read_list)]
Source = Annotated[str, AfterValidator(absolute_source)]
Key = Annotated[SecretStr, BeforeValidator(read_key)]


class WorkspaceConfig(Frozen):
    """One workspace besides WORKSPACE_DIR, or, under the name `default`, more about that one."""

    remote: Source | None = Field(
        default=None, description="A URL, a bare repository or a checkout; only `default` may leave it out."
    )
    ref: Name | None = Field(default=None, description="The branch, tag or commit that runs start from.")
    credential_helper: str | None = Field(
        default=None, description="git's credential.helper for the service's own fetches."
    )
    share_credentials: bool = Field(
        default=False, description="Agents' own git gets the credential helper too, so that they can push."
    )
    post_checkout: list[str] = Field(
        default=[], description="A command, as a list of words, to run in each new checkout, outside the sandbox."
    )
    post_checkout_timeout_seconds: float = Field(default=60.0, gt=0, description="The time limit of that command.")
    keep: list[str] = Field(
        default=[], description="Patterns, as in .gitignore, of untracked files that stay from run to run."
    )
    strict: bool = Field(default=False, description="A remote that cannot be fetched fails the run.")


class AgentSettings(Frozen):
    """Each field is an environment variable of the same name in capitals."""

    @property
    def provider_socket(self) -> Path:
        """The socket of the provider proxy, for agents that have no network."""
        return self.state_dir / "provider.sock"

    state_dir: LocalPath = Field(
        default_factory=default_state_dir, description="Everything the service writes lies under it."
    )
    claude_cli: LocalPath | None = Field(
        default=None, description="The claude binary; unset: the one in the pinned claude-agent-sdk wheel."
    )
    agent_capacity: int | None = Field(
        default=None, ge=1, le=1000, description="The most agents at once on this host; unset: sized to the machine."
    )
    agent_warm: int | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="The most CLI processes that are started ahead; unset: sized to the machine; 0: none.",
    )
    agent_warm_minutes: float = Field(
        default=10.0, gt=0, description="Minutes after its last run for which an agent has a process started ahead."
    )
    agent_sandbox: Literal["auto", "bwrap", "off"] = Field(
        default="auto", description="auto: bubblewrap where it works; bwrap: refuse to run without it."
    )
    agent_network: Literal["open", "allow", "none"] = Field(
        default="open",
        description="none: agents reach nothing, this machine included, but the model; "
        "allow: they also reach what AGENT_EGRESS_ALLOW lists, by a proxy. Both need bubblewrap.",
    )
    agent_egress_allow: Names = Field(
        default=[],
        description="Destinations with AGENT_NETWORK=allow: `example.com`, `*.example.com:8443`, `*`; if the address "
        "is not public, the address as well: `10.1.2.3:443`, `10.0.0.0/8`. No port: 80 and 443.",
    )
    agent_repo_code: Literal["trusted", "on", "off"] = Field(
        default="trusted",
        description="If hooks, MCP servers and key helpers of a checkout run: trusted: in runs that start from "
        "their workspace's own ref; on: always; off: never.",
    )
    agent_env_allow: Names = Field(
        default=[], description="Variables of the service's environment that agents get, by name."
    )
    agent_read_paths: Paths = Field(default=[], description="Paths that agents may read besides the system's.")
    agent_write_paths: Paths = Field(default=[], description="Paths that agents may write besides their checkout.")
    agent_memory_mb: int | None = Field(
        default=4096,
        ge=256,
        description="In a sandbox: memory of an agent with all its processes, in megabytes; of each process, where "
        "there is no control group.",
    )
    agent_processes: int | None = Field(
        default=2048,
        ge=64,
        description="In a sandbox: an agent's processes and threads; for root only where there is a control group.",
    )
    agent_open_files: int | None = Field(
        default=8192, ge=128, description="In a sandbox: open files of each process of an agent."
    )
    agent_file_mb: int | None = Field(
        default=4096, ge=1, description="In a sandbox: the largest file that an agent can write, in megabytes."
    )
    agent_disk_mb: int | None = Field(
        default=20_480,
        ge=64,
        description="The most disk space of an agent's checkout, home and temporary files together, in megabytes; "
        "a run that takes more is ended.",
    )
    agent_config_template: LocalPath | None = Field(
        default=None, description="A CLI config directory that each run starts from (agents, settings, MCP)."
    )
    agent_stall_seconds: int = Field(
        default=1800,
        ge=1,
        description="A run that prints nothing for so many seconds, outside a tool call, is ended.",
    )
    agent_background_seconds: float = Field(
        default=20.0,
        ge=0,
        description="Seconds for which a command that an agent left in the background is waited for after its answer, "
        "ten times as long while it keeps the processor busy; helpers (subagents) are waited for until the time limit, "
        "servers not at all.",
    )
    agent_model_retries: int = Field(
        default=4,
        ge=0,
        le=10,
        description="How often the CLI repeats a failed model call: 4 times take about 9 s.",
    )
    max_budget_usd_limit: float = Field(
        default=1000.0, gt=0, description="The largest budget a request may ask for, in US dollars."
    )
    max_timeout_seconds_limit: int = Field(
        default=86_400, ge=1, description="The longest time limit a request may ask for."
    )
    workspace_dir: Source | None = Field(
        default=None,
        description="The git checkout, bare repository or URL that agents work from; unset: /workspace/infra "
        "if it exists, else one under STATE_DIR.",
    )
    fetch_debounce_seconds: float = Field(
        default=15.0, ge=0, description="Skip a fetch if the last one is younger than this many seconds."
    )
    workspaces: Annotated[dict[Name, WorkspaceConfig], BeforeValidator(read_json)] = Field(
        default={}, description="Further workspaces by name, as JSON; `default` adds to WORKSPACE_DIR."
    )
    workspace_strict: bool = Field(
        default=False, description="A remote that cannot be fetched fails the run, in every workspace."
    )
    fetch_timeout_seconds: float = Field(
        default=10.0, gt=0, description="The most seconds without data from a remote during a fetch."
    )
    clone_timeout_seconds: float = Field(
        default=900.0, gt=0, description="The time limit of a fetch, the first one of a repository included."
    )
    checkout_timeout_seconds: float = Field(default=120.0, gt=0, description="The time limit of a local git command.")
    git_memory_mb: int = Field(
        default=1024,
        ge=64,
        description="Memory of each git process that reads what an agent or a stranger wrote, in megabytes.",
    )
    git_env_allow: Names = Field(
        default=[
            *("HOME", "SSH_AUTH_SOCK", "GIT_SSH_COMMAND", "GIT_SSL_CAINFO", "SSL_CERT_FILE", "SSL_CERT_DIR"),
            *("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"),
        ],
        description="Variables of the service's environment that its own fetches get, by name.",
    )
    git_config_file: LocalPath | None = Field(
        default=None, description="A git config of yours for the service's own fetches (helpers, insteadOf)."
    )
    git_author_name: str = Field(default="Claude Agent", description="The author of agents' commits.")
    git_author_email: str = Field(default="agent@localhost", description="The author's address on agents' commits.")
    kept_work_days: float = Field(
        default=30.0, gt=0, description="Days for which refs/agent-runs keep commits that agents did not push."
    )
    kept_work_max_bytes: int = Field(
        default=1_073_741_824, ge=1, description="The most that one run's unpushed work may add to a mirror."
    )
    diff_max_bytes: int = Field(
        default=65_536, ge=0, description="The most bytes of a run's diff that are shown; the rest is in git."
    )
    agent_models: Names = Field(
        default=[],
        description="Models that agents may call besides those of the price list, MODEL_PRICES and the one that their "
        "run asks for; `*` in a name stands for anything.",
    )
    model_prices: Annotated[dict[str, ModelPrice], BeforeValidator(read_json)] = Field(
        default={},
        description="Prices of models in US dollars per million tokens, as JSON, over the list that the service "
        'carries: `{"my-model": {"input": 3, "output": 15}}`; `*`: of every model that is not listed.',
    )
    anthropic_api_key: Key | None = Field(default=None, description="For the agents' model calls, and nothing else.")
    claude_code_oauth_token: Key | None = Field(
        default=None, description="The other kind of credential for the agents' model calls."
    )
    anthropic_base_url: Annotated[str, AfterValidator(check_base_url)] | None = Field(
        default=None, description="The URL of the model's API; unset: the provider's own."
    )

    @property
    def workspace_names(self) -> list[str]:
        """The workspaces that a request can name, the default one first."""
        return [DEFAULT_WORKSPACE, *sorted(name for name in self.workspaces if name != DEFAULT_WORKSPACE)]
