"""All that a host needs to run agents: capacity, workspaces, and a way to start the CLI."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from agent.claude.arguments import build_argv
from agent.claude.launcher import Launcher, Provider, never
from agent.claude.process import AgentProcess
from agent.claude.process_spec import ProcessSpec
from agent.claude.turn import Turn
from agent.domain.checkout import Checkout, Identity
from agent.domain.errors import RequestRefused
from agent.domain.events import Sink
from agent.domain.request import AgentRequest
from agent.domain.result import WorkspaceReport
from agent.pool.slots import Slot, Slots, default_capacity
from agent.pool.warm_pool import WarmPool
from agent.redaction.known_values import known_secrets
from agent.redaction.redactor import Redactor
from agent.redaction.run_output import redact_report
from agent.sandbox.disk_limit import DiskLimiter
from agent.sandbox.run_directory import RunDirectory
from agent.sandbox.sandbox import Sandbox
from agent.settings import AgentSettings
from agent.system.files import remove
from agent.workspaces.agent_definitions import agent_name
from agent.workspaces.workspaces import Workspaces

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opened:
    """A started process and the agent that it is; `introduced`: it has heard all but the prompt."""

    process: AgentProcess
    private: RunDirectory
    agent: str
    introduced: bool


class Runtime:
    """One a host; everything it writes lies under the state directory.

    Without a `provider` agents get the credential itself; `secrets` are taken out of all that they say.
    """

    def __init__(self, settings: AgentSettings, provider: Provider | None = None, secrets: Iterable[str] = ()) -> None:
        self.settings = settings
        self._redactor = Redactor([*secrets, *known_secrets(settings, os.environ)])
        self.slots = Slots(settings.agent_capacity or default_capacity(), settings.state_dir / "slots")
        self.workspaces = Workspaces(settings)
        self.enclosure = Sandbox(settings)
        self._disk = DiskLimiter(settings.agent_disk_mb, settings.kept_work_max_bytes)
        self._launcher = Launcher(settings, self.enclosure, provider)
        self.warm = WarmPool(settings, self.slots, self.workspaces, self._launcher)

    async def open(self) -> None:
        """End what an earlier host on this state directory left behind; the log says what holds agents here."""
        left = await self.enclosure.open()
        self._tell_what_holds()
        if left:
            _log.warning("processes of an earlier host could not be ended: %s", left)

    def private(self, run_id: str) -> RunDirectory:
        """The private directory of a run, whether it is there or not."""
        return RunDirectory(directory=self.settings.state_dir / "runs" / run_id)

    async def clear(self, spared: Collection[str]) -> None:
        """Remove the private directories that an earlier host left behind, but for those of the `spared` runs."""
        await asyncio.to_thread(self._clear, spared)

    def _clear(self, spared: Collection[str]) -> None:
        state_dir = self.settings.state_dir
        for directory in (*(state_dir / "runs").glob("*"), *(state_dir / "warm").glob("*")):
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
        path = await self.warm.prepare(slot, request, snapshot, identity)
        return Checkout(path=path, snapshot=snapshot, read_paths=tuple(self.workspaces.read_paths(snapshot)))

    async def collect(self, slot: Slot, checkout: Checkout, run_id: str) -> WorkspaceReport:
        """What the agent changed, told without secrets, its unpushed work kept as it is; raises WorkspaceError."""
        given_back = await self._disk.free_disk_space(run_id, checkout.path)
        report = await self.workspaces.collect(slot.directory, checkout.snapshot, run_id)
        report = report.model_copy(update={"notes": [*report.notes, *given_back]})
        return await asyncio.to_thread(redact_report, self._redactor, report)

    @asynccontextmanager
    async def opened(
        self,
        run_id: str,
        request: AgentRequest,
        slot: Slot,
        checkout: Checkout,
        *,
        session_id: str | None = None,
        is_kept: Callable[[], bool] | None = None,
    ) -> AsyncIterator[Opened]:
        """A process that waits for its prompt; at the end nothing of it is left, files or processes.

        With a `session_id` it goes on with what the run's private directory has of that session; that directory
        stays if `is_kept` says so at the end. A run that might be kept has a process of its own making.

        Raises NotConfigured, RequestRefused or SpawnFailed.
        """
        self.check_bounds(request)
        agent = agent_name(request.agent, checkout.path)
        if session_id is None and is_kept is None:
            parked = await self.warm.lend(slot, request, checkout, agent, run_id)
            if parked is not None:
                try:
                    yield Opened(parked.launched.process, parked.launched.private, agent, introduced=True)
                finally:
                    await parked.close()
                return
        async with self._launcher.launched(
            run_id,
            partial(build_argv, mold=ProcessSpec.of(request), agent=agent, session_id=session_id),
            checkout,
            self.private(run_id).directory,
            max_budget_usd=request.max_budget_usd,
            is_kept=is_kept or never,
        ) as launched:
            yield Opened(launched.process, launched.private, agent, introduced=False)

    @asynccontextmanager
    async def conversing(
        self, run_id: str, opened: Opened, request: AgentRequest, checkout: Checkout, sink: Sink
    ) -> AsyncIterator[Turn]:
        """A conversation with an opened process, in which the agent's words go to `sink`."""
        conversation = Turn(
            opened.process,
            request,
            opened.agent,
            self.settings.agent_stall_seconds,
            sink,
            self._redactor,
            introduced=opened.introduced,
        )
        disk = self._disk.watch(run_id, checkout.path, opened.private, opened.process.pid, conversation.overdraw)
        with self.warm.demand.met(ProcessSpec.of(request)):
            async with disk:
                yield conversation

    @asynccontextmanager
    async def converse(
        self, run_id: str, request: AgentRequest, slot: Slot, checkout: Checkout, sink: Sink
    ) -> AsyncIterator[Turn]:
        """A conversation with a process of its own; raises what `opened` does."""
        async with (
            self.opened(run_id, request, slot, checkout) as opened,
            self.conversing(run_id, opened, request, checkout, sink) as conversation,
        ):
            yield conversation
