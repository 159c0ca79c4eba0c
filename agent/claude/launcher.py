"""Starts the CLI: its private directory, its right to call the model, its place, and the process in it."""

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
from agent.provider.credential import find_credential
from agent.provider.lease import Lease
from agent.sandbox.run_directory import RunDirectory, private_directory
from agent.sandbox.sandbox import Sandbox
from agent.settings import AgentSettings

Arguments = Callable[[Path], list[str]]
"""The command line, for a CLI at that path."""


def never() -> bool:
    """Nothing is kept."""
    return False


class Provider(Protocol):
    """Who lends a run the right to call the model."""

    def lease(self, run_id: str, max_budget_usd: float | None = None) -> Lease:
        """A token for one run, and where to use it."""


@dataclass(frozen=True)
class Launched:
    """A process of the CLI; `lease` is None where agents get the credential itself."""

    process: AgentProcess
    private: RunDirectory
    lease: Lease | None


class Launcher:
    """Starts processes on one host; without a `provider` they get the credential itself."""

    def __init__(self, settings: AgentSettings, enclosure: Sandbox, provider: Provider | None) -> None:
        self._settings = settings
        self._enclosure = enclosure
        self._provider = provider

    @asynccontextmanager
    async def launched(
        self,
        name: str,
        arguments: Arguments,
        checkout: Checkout,
        directory: Path,
        *,
        max_budget_usd: float | None,
        is_kept: Callable[[], bool] = never,
        is_spare: bool = False,
    ) -> AsyncIterator[Launched]:
        """A process that waits for its prompt; at the end nothing of it is left, files or processes.

        Its `directory` stays if `is_kept` says so at the end. `name` is known to nobody else at this time. A spare
        does not begin in the checkout. Raises NotConfigured or SpawnFailed.
        """
        argv = arguments(find_cli(self._settings))
        async with private_directory(directory, self._settings.agent_config_template, is_kept) as private:
            with self._access(name, max_budget_usd) as (access, lease):
                if not self.trusts(checkout):
                    argv += without_repository_code(access.get("ANTHROPIC_BASE_URL"))
                settings = self._settings
                environment = build_environment(
                    os.environ, settings.agent_env_allow, access, settings.agent_model_retries
                )
                place = self._enclosure.place(argv, environment, checkout, private, name, is_spare=is_spare)
                process = await AgentProcess.start(
                    place.argv, place.environment, place.directory, place.kill_run_processes()
                )
                try:
                    # a process that waits is given its run later
                    whose = partial(getattr, lease, "run_id", name)
                    async with self._enclosure.way_out(process.pid, private, whose):
                        yield Launched(process, private, lease)
                finally:
                    await process.end()

    def trusts(self, checkout: Checkout) -> bool:
        """Whether what the checkout brings along may run before the model has read a word."""
        policy = self._settings.agent_repo_code
        return policy == "on" or (policy == "trusted" and checkout.snapshot.is_own_ref)

    def seen_at(self, checkout: Checkout) -> Path:
        """The checkout's path as its agent knows it."""
        return self._enclosure.seen_at(checkout)

    @contextmanager
    def _access(self, name: str, max_budget_usd: float | None) -> Iterator[tuple[dict[str, str], Lease | None]]:
        """The variables by which the CLI reaches the model, worthless once this is over."""
        if self._provider is None:
            if (network := self._settings.agent_network) != "open":
                raise NotConfigured(f"AGENT_NETWORK={network} leaves no way to the model but the provider's proxy")
            variable, value = find_credential(self._settings)
            base_url = self._settings.anthropic_base_url
            yield {variable: value, **({"ANTHROPIC_BASE_URL": base_url} if base_url else {})}, None
            return
        lease = self._provider.lease(name, max_budget_usd)
        try:
            yield lease.variables(), lease
        finally:
            lease.cut()
