"""All that a host needs to run agents: capacity, workspaces, and a way to start the CLI."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from agent.command import build_argv
from agent.conversation import Conversation
from agent.definitions import agent_name
from agent.environment import Credential, build_environment
from agent.errors import RequestRefused
from agent.events import Sink
from agent.installation import find_cli, find_credential
from agent.models import AgentRequest, Frozen, WorkspaceReport
from agent.process import AgentProcess, uninterrupted
from agent.settings import AgentSettings
from agent.slots import Slot, Slots, default_capacity
from agent.workspaces import Identity, Snapshot, Workspaces


class Checkout(Frozen):
    """A slot's working tree, ready for one run."""

    path: Path
    snapshot: Snapshot


class Runtime:
    """One a host; everything it writes lies under the state directory."""

    def __init__(self, settings: AgentSettings) -> None:
        self.settings = settings
        self.slots = Slots(settings.agent_capacity or default_capacity(), settings.state_dir / "slots")
        self.workspaces = Workspaces(settings)

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
        return Checkout(path=await self.workspaces.prepare(slot.directory, snapshot, identity), snapshot=snapshot)

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
        private = await asyncio.to_thread(self._make_private, run_id)
        try:
            argv = build_argv(cli, request, agent_name(request.agent, checkout.path))
            process = await AgentProcess.start(argv, self._environment(run_id, private), checkout.path)
            try:
                agent = argv[argv.index("--agent") + 1]
                yield Conversation(process, request, agent, self.settings.agent_stall_seconds, sink)
            finally:
                await process.end()
        finally:
            await uninterrupted(asyncio.to_thread(shutil.rmtree, private, ignore_errors=True))

    def _make_private(self, run_id: str) -> Path:
        """The run's own directory, with an empty home, CLI config directory and place for temporary files."""
        private = self.settings.state_dir / "runs" / run_id
        for name in ("home", "tmp"):
            (private / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        template = self.settings.agent_config_template
        if template is not None:
            shutil.copytree(template, private / "config", symlinks=True, dirs_exist_ok=True)
        (private / "config").mkdir(exist_ok=True, mode=0o700)
        return private

    def _environment(self, run_id: str, private: Path) -> dict[str, str]:
        variable, value = find_credential(self.settings)
        credential = Credential(variable=variable, value=value, base_url=self.settings.anthropic_base_url)
        allow = self.settings.agent_env_allow
        return build_environment(os.environ, allow, credential, private, run_id, self.settings.agent_model_retries)
