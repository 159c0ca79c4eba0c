"""Starts a CLI process: run directory, provider lease, sandbox, environment."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from agent.claude.arguments import without_repository_code
from agent.claude.environment import build_environment
from agent.claude.installation import find_cli
from agent.claude.process import AgentProcess
from agent.domain.checkout import Checkout
from agent.domain.errors import NotConfigured
from agent.git.agent_config import NAME as GIT_CONFIG
from agent.git.agent_config import agent_git_config, read_system_config
from agent.provider.credential import find_credential
from agent.provider.lease import Lease
from agent.sandbox.run_directory import RunDirectory, RunFiles, private_directory
from agent.sandbox.sandbox import Sandbox
from agent.settings import AgentSettings
from agent.system.files import write

Arguments = Callable[[Path], list[str]]
"""Builds the argument list for a CLI at that path."""


def never() -> bool:
    """Return False: the run directory is removed at the end."""
    return False


class Provider(Protocol):
    """Gives a run the right to call the model; implemented by the provider proxy."""

    def lease(
        self, run_id: str, max_budget_usd: float | None = None, model: str | None = None, *, offline: bool = False
    ) -> Lease:
        """Return a token for one run, and where to use it."""


@dataclass(frozen=True)
class Launched:
    """A CLI process that `launch` started; `lease` is None where agents get the credential itself."""

    process: AgentProcess
    private: RunDirectory
    lease: Lease | None


class Launcher:
    """Starts CLI processes; one per Runtime. Without a `provider` they get the credential itself."""

    def __init__(self, settings: AgentSettings, sandbox: Sandbox, provider: Provider | None) -> None:
        self._settings = settings
        self._sandbox = sandbox
        self._provider = provider
        self._git_config = agent_git_config(
            settings.git_author_name, settings.git_author_email, read_system_config(os.environ)
        )

    @asynccontextmanager
    async def launch(
        self,
        name: str,
        arguments: Arguments,
        checkout: Checkout,
        directory: Path,
        *,
        max_budget_usd: float | None,
        model: str | None = None,
        is_kept: Callable[[], bool] = never,
        is_spare: bool = False,
        offline: bool = False,
    ) -> AsyncIterator[Launched]:
        """Start a process that waits for its prompt; at the end its processes and files are removed.

        Its `directory` stays if `is_kept()` is true at the end. `name` is unique among running processes. A spare
        does not start in the checkout; an `offline` one has no network. Raises NotConfigured or SpawnFailed.
        """
        argv = arguments(find_cli(self._settings))
        async with private_directory(directory, self._settings.agent_config_template, is_kept) as private:
            if not (private.home / GIT_CONFIG).exists():
                write(private.home / GIT_CONFIG, self._git_config)
            with self._access(name, max_budget_usd, model, offline) as (access, lease):
                if not self.trusts(checkout):
                    argv += without_repository_code(access.get("ANTHROPIC_BASE_URL"))
                settings = self._settings
                environment = build_environment(
                    os.environ, settings.agent_env_allow, access, settings.agent_model_retries
                )
                run = RunFiles(name, checkout, private, offline)
                placement = self._sandbox.place(argv, environment, run, is_spare=is_spare)
                process = await AgentProcess.start(
                    placement.argv, placement.environment, placement.directory, placement
                )
                try:
                    # the lease of a warm process gets its run later, and the log names that run
                    whose = partial(getattr, lease, "run_id", name)
                    gateway = self._sandbox.open_gateway(process.pid, run, whose)
                    async with self._sandbox.limit_shared(process.pid), gateway:
                        yield Launched(process, private, lease)
                finally:
                    await process.end()

    def trusts(self, checkout: Checkout) -> bool:
        """True if hooks, MCP servers and key helpers of the checkout may run (AGENT_REPO_CODE)."""
        policy = self._settings.agent_repo_code
        return policy == "on" or (policy == "trusted" and checkout.snapshot.is_own_ref)

    def path_in_sandbox(self, checkout: Checkout) -> Path:
        """Return the checkout's path as the processes of its run see it."""
        return self._sandbox.path_in_sandbox(checkout)

    @contextmanager
    def _access(
        self, name: str, max_budget_usd: float | None, model: str | None, offline: bool
    ) -> Iterator[tuple[dict[str, str], Lease | None]]:
        """Give the variables by which the CLI reaches the model; a lease in them ends with this."""
        if self._provider is None:
            network = "none" if offline else self._settings.agent_network
            if network != "open":
                reason = "needs the provider proxy for model calls, and this runtime has none"
                raise NotConfigured(f"network {network} (AGENT_NETWORK) {reason}")
            variable, value = find_credential(self._settings)
            base_url = self._settings.anthropic_base_url
            yield {variable: value, **({"ANTHROPIC_BASE_URL": base_url} if base_url else {})}, None
            return
        lease = self._provider.lease(name, max_budget_usd, model, offline=offline)
        try:
            yield lease.variables(), lease
        finally:
            lease.cut()
