"""All that a host needs to run agents: capacity, workspaces, and a way to start the CLI."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agent.command import build_argv
from agent.conversation import Conversation
from agent.definitions import agent_name
from agent.enclosure import Enclosure
from agent.environment import Credential, build_environment
from agent.errors import RequestRefused
from agent.events import Sink
from agent.installation import find_cli, find_credential
from agent.models import AgentRequest, WorkspaceReport
from agent.private import private_directory
from agent.process import AgentProcess
from agent.settings import AgentSettings
from agent.slots import Slot, Slots, default_capacity
from agent.snapshot import Checkout, Identity
from agent.workspaces import Workspaces

_log = logging.getLogger(__name__)


class Runtime:
    """One a host; everything it writes lies under the state directory."""

    def __init__(self, settings: AgentSettings) -> None:
        self.settings = settings
        self.slots = Slots(settings.agent_capacity or default_capacity(), settings.state_dir / "slots")
        self.workspaces = Workspaces(settings)
        self.enclosure = Enclosure(settings)

    async def open(self) -> None:
        """End what an earlier host on this state directory left behind."""
        left = await self.enclosure.open()
        if left:
            _log.warning("processes of an earlier host could not be ended: %s", left)

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
        """What the agent changed, its unpushed work kept; raises WorkspaceError."""
        return await self.workspaces.collect(slot.directory, checkout.snapshot, run_id)

    @asynccontextmanager
    async def converse(
        self, run_id: str, request: AgentRequest, checkout: Checkout, sink: Sink
    ) -> AsyncIterator[Conversation]:
        """A started CLI that waits for its prompt; at the end nothing of it is left, files or processes.

        Raises NotConfigured, RequestRefused or SpawnFailed.
        """
        self.check_bounds(request)
        cli = find_cli(self.settings)
        agent = agent_name(request.agent, checkout.path)
        directory = self.settings.state_dir / "runs" / run_id
        async with private_directory(directory, self.settings.agent_config_template) as private:
            argv = build_argv(cli, request, agent)
            place = self.enclosure.place(argv, self._environment(), checkout, private, run_id)
            process = await AgentProcess.start(place.argv, place.environment, place.directory, place.sweep())
            try:
                yield Conversation(process, request, agent, self.settings.agent_stall_seconds, sink)
            finally:
                await process.end()

    def _environment(self) -> dict[str, str]:
        variable, value = find_credential(self.settings)
        credential = Credential(variable=variable, value=value, base_url=self.settings.anthropic_base_url)
        return build_environment(
            os.environ, self.settings.agent_env_allow, credential, self.settings.agent_model_retries
        )
