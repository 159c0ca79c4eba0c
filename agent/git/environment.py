"""The environment of git subprocesses: local commands, and commands that talk to a remote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.git.git import ENVIRONMENT, Bounds, Git, find_git
from agent.settings import AgentSettings
from agent.system.commands import TimeLimit
from agent.system.files import write

PROTOCOLS = "file:git:http:https:ssh"
SSH_COMMAND = "ssh -oBatchMode=yes -oConnectTimeout=10"
# Reaches even the processes that git starts in another repository, where its environment config does not.
GLOBAL_CONFIG = (
    "[safe]\n\tdirectory = *\n[core]\n\thooksPath = /dev/null\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n"
)


@dataclass(frozen=True)
class GitEnvironment:
    """The environments that git is run with on one host, built from the settings and the service's own environment."""

    settings: AgentSettings
    environ: Mapping[str, str]

    def allowed(self) -> dict[str, str]:
        """Return the variables of the service's environment that fetches and post-checkout commands may have."""
        names = ("PATH", *self.settings.git_env_allow)
        return {name: self.environ[name] for name in names if name in self.environ}

    def local(self) -> Git:
        """Return git for work on this machine: no home, no credentials, no remote."""
        path = self.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin")
        variables = {**ENVIRONMENT, "PATH": path, "GIT_CONFIG_GLOBAL": str(self._config("local", ""))}
        return Git(variables, TimeLimit(self.settings.checkout_timeout_seconds), find_git(path))

    def untrusted(self) -> Git:
        """Return `local()` with limits on memory and output, for what an agent or a stranger wrote."""
        return self.local().bounded_by(Bounds(self.settings.git_memory_mb * 1024 * 1024))

    def network(self, credential_helper: str | None) -> Git:
        """Return git for a remote, with the credentials that the operator allows it."""
        own = self.settings.git_config_file
        include = f'[include]\n\tpath = "{own}"\n' if own else ""
        variables = {
            "GIT_SSH_COMMAND": SSH_COMMAND,
            **self.allowed(),
            "GIT_ALLOW_PROTOCOL": PROTOCOLS,
            "GIT_CONFIG_GLOBAL": str(self._config("network", include)),
        }
        return self.local().with_environment(
            variables, {"credential.helper": credential_helper} if credential_helper else {}
        )

    def _config(self, name: str, more: str) -> Path:
        path = self.settings.state_dir / "git" / f"{name}.gitconfig"
        content = more + GLOBAL_CONFIG
        if not path.exists() or path.read_text() != content:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write(path, content)
        return path
