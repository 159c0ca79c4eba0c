"""All that a host needs to run agents: capacity, workspaces, and a way to start the CLI."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Protocol

from agent.censor import censored_report
from agent.command import build_argv, without_repository_code
from agent.conversation import Conversation
from agent.definitions import agent_name
from agent.enclosure import Enclosure
from agent.environment import build_environment, known_secrets
from agent.errors import NotConfigured, RequestRefused
from agent.events import Sink
from agent.files import remove
from agent.installation import find_cli, find_credential
from agent.lease import Lease
from agent.models import AgentRequest, WorkspaceReport
from agent.private import Private, private_directory
from agent.process import AgentProcess
from agent.redaction import Redactor
from agent.settings import AgentSettings
from agent.slots import Slot, Slots, default_capacity
from agent.snapshot import Checkout, Identity
from agent.warm_tally import WarmTally
from agent.workspaces import Workspaces

_log = logging.getLogger(__name__)


class Provider(Protocol):
    """Who lends a run the right to call the model."""

    def lease(self, run_id: str, max_budget_usd: float | None = None) -> Lease:
        """A token for one run, and where to use it."""


class Runtime:
    """One a host; everything it writes lies under the state directory.

    Without a `provider` agents get the credential itself; `secrets` are taken out of all that they say.
    """

    def __init__(self, settings: AgentSettings, provider: Provider | None = None, secrets: Iterable[str] = ()) -> None:
        self.settings = settings
        self._provider = provider
        self._redactor = Redactor([*secrets, *known_secrets(settings, os.environ)])
        self.slots = Slots(settings.agent_capacity or default_capacity(), settings.state_dir / "slots")
        self.workspaces = Workspaces(settings)
        self.enclosure = Enclosure(settings)
        self.warm_tally = WarmTally()

    async def open(self) -> None:
        """End what an earlier host on this state directory left behind; the log says what holds agents here."""
        left = await self.enclosure.open()
        self._tell_what_holds()
        if left:
            _log.warning("processes of an earlier host could not be ended: %s", left)

    def private(self, run_id: str) -> Private:
        """The private directory of a run, whether it is there or not."""
        return Private(directory=self.settings.state_dir / "runs" / run_id)

    async def clear(self, spared: Collection[str]) -> None:
        """Remove the private directories that an earlier host left behind, but for those of the `spared` runs."""
        await asyncio.to_thread(self._clear, spared)

    def _clear(self, spared: Collection[str]) -> None:
        for directory in (self.settings.state_dir / "runs").glob("*"):
            if directory.name not in spared:
                with contextlib.suppress(OSError):
                    remove(directory)

    def _tell_what_holds(self) -> None:
        sandbox, groups = self.enclosure.sandbox, self.enclosure.cgroups
        if sandbox.bubblewrap is None:
            _log.warning("agents live without cells, and can read and do what this user can: %s", sandbox.reason)
        elif groups.version is None:
            _log.warning("nothing bounds the sum of what an agent's processes take: %s", groups.reason)
        if os.geteuid() == 0:
            _log.warning("running as root; an ordinary user of its own is better, see docs/security.md")

    def check_bounds(self, request: AgentRequest) -> None:
        """Raises RequestRefused for a budget or a time limit past the operator's maximum."""
        if request.max_budget_usd > self.settings.max_budget_usd_limit:
            raise RequestRefused(f"max_budget_usd must be at most {self.settings.max_budget_usd_limit:g}")
        if request.timeout_seconds > self.settings.max_timeout_seconds_limit:
            raise RequestRefused(f"timeout_seconds must be at most {self.settings.max_timeout_seconds_limit}")

    async def prepare(self, slot: Slot, request: AgentRequest, run_id: str, *, allow_stale: bool) -> Checkout:
        """The slot's checkout at the newest commit of what the request names; raises WorkspaceError."""
        snapshot = await self.workspaces.sync(request.workspace, request.ref, allow_stale=allow_stale)
        identity = Identity(agent=request.agent, run_id=run_id)
        path = await self.workspaces.prepare(slot.directory, snapshot, identity)
        return Checkout(path=path, snapshot=snapshot, read_paths=tuple(self.workspaces.read_paths(snapshot)))

    async def collect(self, slot: Slot, checkout: Checkout, run_id: str) -> WorkspaceReport:
        """What the agent changed, told without secrets, its unpushed work kept as it is; raises WorkspaceError."""
        report = await self.workspaces.collect(slot.directory, checkout.snapshot, run_id)
        return await asyncio.to_thread(censored_report, self._redactor, report)

    @asynccontextmanager
    async def converse(
        self,
        run_id: str,
        request: AgentRequest,
        checkout: Checkout,
        sink: Sink,
        *,
        session_id: str | None = None,
        is_kept: Callable[[], bool] = lambda: False,
    ) -> AsyncIterator[Conversation]:
        """A started CLI that waits for its prompt; at the end nothing of it is left, files or processes.

        With a `session_id` it goes on with what the run's private directory has of that session; that directory
        stays if `is_kept` says so at the end.

        Raises NotConfigured, RequestRefused or SpawnFailed.
        """
        self.check_bounds(request)
        cli = find_cli(self.settings)
        agent = agent_name(request.agent, checkout.path)
        directory = self.private(run_id).directory
        async with private_directory(directory, self.settings.agent_config_template, is_kept) as private:
            argv = build_argv(cli, request, agent, session_id)
            with self._access(run_id, request) as access:
                if not self._trusts(checkout):
                    argv += without_repository_code(access.get("ANTHROPIC_BASE_URL"))
                environment = self._environment(access)
                place = self.enclosure.place(argv, environment, checkout, private, run_id)
                process = await AgentProcess.start(place.argv, place.environment, place.directory, place.sweep())
                stall_seconds = self.settings.agent_stall_seconds
                try:
                    yield Conversation(process, request, agent, stall_seconds, sink, self._redactor)
                finally:
                    await process.end()

    def _trusts(self, checkout: Checkout) -> bool:
        """Whether what the checkout brings along may run before the model has read a word."""
        policy = self.settings.agent_repo_code
        return policy == "on" or (policy == "trusted" and checkout.snapshot.is_own_ref)

    @contextmanager
    def _access(self, run_id: str, request: AgentRequest) -> Iterator[dict[str, str]]:
        """The variables by which the CLI reaches the model, worthless once this is over."""
        if self._provider is None:
            if self.settings.agent_network == "none":
                raise NotConfigured("AGENT_NETWORK=none leaves no way to the model but the provider's proxy")
            variable, value = find_credential(self.settings)
            base_url = self.settings.anthropic_base_url
            yield {variable: value, **({"ANTHROPIC_BASE_URL": base_url} if base_url else {})}
            return
        lease = self._provider.lease(run_id, request.max_budget_usd)
        try:
            yield lease.variables()
        finally:
            lease.cut()

    def _environment(self, access: dict[str, str]) -> dict[str, str]:
        allow = self.settings.agent_env_allow
        return build_environment(os.environ, allow, access, self.settings.agent_model_retries)
