"""The agent runtime of one host: slots, workspaces, the warm pool, and the launch of the CLI."""

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
from agent.domain.events import Sink, Warned
from agent.domain.request import AgentRequest
from agent.domain.result import WorkspaceReport
from agent.json_schema.errors import SchemaRefused
from agent.json_schema.translation import translate_schema
from agent.pool.slots import Slot, Slots, default_capacity
from agent.pool.warm_pool import WarmPool
from agent.provider.lease import Lease
from agent.redaction.known_values import known_secrets
from agent.redaction.redactor import Redactor
from agent.redaction.run_output import redact_report
from agent.sandbox.disk_limit import DiskLimiter
from agent.sandbox.run_directory import RunDirectory, RunFiles
from agent.sandbox.sandbox import Sandbox
from agent.settings import AgentSettings
from agent.system.files import remove
from agent.system.machine import read_machine
from agent.workspaces.agent_definitions import agent_name
from agent.workspaces.workspaces import Workspaces

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StartedProcess:
    """A process that waits for its prompt, and its agent. `initialized`: it has received all but the prompt."""

    process: AgentProcess
    private: RunDirectory
    agent: str
    initialized: bool
    lease: Lease | None = None


class Runtime:
    """Runs agents; one per host, made by it at start. All files are under the state directory.

    Without a `provider` agents get the credential itself; `secrets` are redacted in all their output.
    """

    def __init__(self, settings: AgentSettings, provider: Provider | None = None, secrets: Iterable[str] = ()) -> None:
        self.settings = settings
        self._redactor = Redactor([*secrets, *known_secrets(settings, os.environ)])
        released = asyncio.Event()
        capacity = settings.agent_capacity or default_capacity(read_machine())
        self.slots = Slots(capacity, settings.state_dir / "slots", on_released=released.set)
        self.workspaces = Workspaces(settings)
        self.sandbox = Sandbox(settings)
        self._disk = DiskLimiter(settings.agent_disk_mb, settings.kept_work_max_bytes)
        self._launcher = Launcher(settings, self.sandbox, provider)
        self.warm = WarmPool(settings, self.slots, self.workspaces, self._launcher, released)

    async def open(self) -> None:
        """End processes that an earlier host on this state directory left, and log how agents are isolated."""
        await self.sandbox.open()
        self._log_isolation()

    def run_directory(self, run_id: str) -> RunDirectory:
        """Return the private directory of a run, which may not exist."""
        return RunDirectory(directory=self.settings.state_dir / "runs" / run_id)

    async def clear(self, spared: Collection[str]) -> None:
        """Remove the private directories that an earlier host left, except those of the `spared` runs."""
        await asyncio.to_thread(self._clear, spared)

    def _clear(self, spared: Collection[str]) -> None:
        state_dir = self.settings.state_dir
        for directory in (*(state_dir / "runs").glob("*"), *(state_dir / "warm").glob("*")):
            if directory.name not in spared:
                with contextlib.suppress(OSError):
                    remove(directory)

    def _log_isolation(self) -> None:
        probe, groups = self.sandbox.probe, self.sandbox.cgroups
        if probe.bubblewrap is None:
            why = f"{probe.reason}; {probe.remedy}" if probe.remedy else probe.reason
            _log.warning("Sandbox is OFF (%s): agents have all rights of this user", why)
        elif groups.version is None:
            _log.warning(
                "limits hold for each process of an agent, not for all of them together: %s; "
                "a systemd unit with Delegate=yes gives a control group; in a container its limit bounds all agents",
                groups.reason,
            )
        if os.geteuid() == 0:
            _log.warning("running as root; use a separate ordinary user, see docs/security.md")

    def check_limits(self, request: AgentRequest) -> None:
        """Raise RequestRefused for a limit past the operator's maximum, and for a schema that the CLI cannot have."""
        if request.max_budget_usd > self.settings.max_budget_usd_limit:
            raise RequestRefused(f"max_budget_usd must be at most {self.settings.max_budget_usd_limit:g}")
        if request.timeout_seconds > self.settings.max_timeout_seconds_limit:
            raise RequestRefused(f"timeout_seconds must be at most {self.settings.max_timeout_seconds_limit}")
        if request.json_schema is not None:
            try:
                translate_schema(request.json_schema)
            except SchemaRefused as refusal:
                raise RequestRefused(f"json_schema: {refusal}") from None

    async def prepare(self, slot: Slot, request: AgentRequest, run_id: str, *, allow_stale: bool) -> Checkout:
        """Return the slot's checkout at the newest commit of the request's ref; raises WorkspaceError."""
        snapshot = await self.workspaces.sync(request.workspace, request.ref, allow_stale=allow_stale)
        identity = Identity(agent=request.agent, run_id=run_id)
        path = await self.warm.take_checkout(slot, request, snapshot, identity)
        return Checkout(path=path, snapshot=snapshot, read_paths=tuple(self.workspaces.read_paths(snapshot)))

    async def collect(self, slot: Slot, checkout: Checkout, run_id: str) -> WorkspaceReport:
        """Return what the agent changed, redacted; its unpushed work is kept unredacted. Raises WorkspaceError."""
        freed = await self._disk.free_disk_space(run_id, checkout.path)
        report = await self.workspaces.collect(slot.directory, checkout.snapshot, run_id)
        report = report.model_copy(update={"notes": [*report.notes, *freed]})
        return await asyncio.to_thread(redact_report, self._redactor, report)

    @asynccontextmanager
    async def start_process(
        self,
        run_id: str,
        request: AgentRequest,
        slot: Slot,
        checkout: Checkout,
        *,
        session_id: str | None = None,
        is_kept: Callable[[], bool] | None = None,
    ) -> AsyncIterator[StartedProcess]:
        """Give a process that waits for its prompt; at the end its processes and files are removed.

        With a `session_id` it resumes that session from the run's private directory, which stays if `is_kept()` is
        true at the end. Raises NotConfigured, RequestRefused or SpawnFailed.
        """
        self.check_limits(request)
        agent = agent_name(request.agent, checkout.path)
        # a warm process has its files elsewhere than in the run's directory, where a resumed run looks for them
        if session_id is None and is_kept is None:
            warm = await self.warm.take_process(slot, request, checkout, agent, run_id)
            if warm is not None:
                try:
                    yield StartedProcess(
                        warm.launched.process, warm.launched.private, agent, initialized=True, lease=warm.launched.lease
                    )
                finally:
                    await warm.close()
                return
        async with self._launcher.launch(
            run_id,
            partial(build_argv, spec=ProcessSpec.of(request), agent=agent, session_id=session_id),
            checkout,
            self.run_directory(run_id).directory,
            max_budget_usd=request.max_budget_usd,
            model=request.model,
            is_kept=is_kept or never,
            offline=request.network == "none",
        ) as launched:
            yield StartedProcess(launched.process, launched.private, agent, initialized=False, lease=launched.lease)

    @asynccontextmanager
    async def start_turn(
        self, run_id: str, started: StartedProcess, request: AgentRequest, checkout: Checkout, sink: Sink
    ) -> AsyncIterator[Turn]:
        """Give the turn of a started process, whose events go to `sink`; its use of the disk is watched meanwhile."""
        turn = Turn(
            started.process,
            request,
            started.agent,
            self.settings.agent_stall_seconds,
            sink,
            self._redactor,
            initialized=started.initialized,
            background_seconds=self.settings.agent_background_seconds,
            lease=started.lease,
        )
        if started.lease is not None:
            started.lease.on_refusal = partial(_warn_of_refusal, sink, self._redactor)
        files = RunFiles(run_id, checkout, started.private)
        disk = self._disk.watch(files, started.process.pid, turn.end_for_disk)
        with self.warm.demand.record(ProcessSpec.of(request)):
            async with disk:
                yield turn


def _warn_of_refusal(sink: Sink, redactor: Redactor, reason: str) -> None:
    sink(Warned(text=redactor.redact(f"a call to the provider was refused: {reason}")))
