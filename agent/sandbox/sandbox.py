"""Places the process of a run: in bubblewrap and a cgroup, or in the open with a process sweep."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import zlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from agent.domain.checkout import Checkout
from agent.domain.errors import NotConfigured, SpawnFailed
from agent.egress.allowlist import read_destinations
from agent.egress.gateway import open_gateway, proxy_variables, wait_for_gateway
from agent.egress.resolver import Resolver
from agent.sandbox.bubblewrap import Bubblewrap, SandboxSpec, bubblewrap_argv
from agent.sandbox.cgroups import Cgroup, Cgroups, find_cgroups, in_cgroup
from agent.sandbox.cpu_priority import with_lower_priority
from agent.sandbox.probe import ProbeResult, probe_sandbox
from agent.sandbox.process_sweep import (
    COOKIE,
    become_subreaper,
    kill_leftover_processes,
    kill_run_processes,
    with_marker,
)
from agent.sandbox.resource_limits import ResourceLimits
from agent.sandbox.run_directory import RunFiles
from agent.sandbox.shared_limits import limit_shared
from agent.settings import DEFAULT_WORKSPACE, AgentSettings
from agent.system.concurrency import background_task
from agent.system.procfs import command_of

_log = logging.getLogger(__name__)

WORKSPACES = Path("/workspace")
"""Where checkouts of remote repositories appear in a sandbox: one path for all slots, so that prompt caches hold."""


@dataclass(frozen=True)
class Placement:
    """How to start one process of a run, and how to end all that came of it. Made by `Sandbox.place` for one start.

    `cookie` marks the processes of a run without a sandbox; None in a sandbox.
    """

    argv: list[str]
    environment: dict[str, str]
    directory: Path
    cookie: str | None
    cgroup: Cgroup | None = None

    def terminate(self, pid: int) -> None:
        """Send SIGTERM to the process that was started as `pid` and is still running, and to its group."""
        # bubblewrap takes the whole sandbox down on a signal of its own: the grace is for the command in it
        command = command_of(pid, wrapper=b"bwrap") if self.cookie is None else None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if command is not None:
                os.kill(command, signal.SIGTERM)
            else:
                os.killpg(pid, signal.SIGTERM)

    async def kill_remaining(self, pid: int = 0) -> None:
        """Kill what the run has started and the end of its process group `pid` has left, and remove its cgroup."""
        if self.cookie is not None:
            # asyncio waits for `pid`: it is killed here, and not reaped
            await kill_run_processes(self.cookie, managed=[pid])
        if self.cgroup is not None:
            await asyncio.to_thread(self.cgroup.remove)


class Sandbox:
    """The isolation of this host's runs; one per host.

    Raises NotConfigured if AGENT_SANDBOX or AGENT_NETWORK needs bubblewrap and it does not work here.
    """

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings
        self.probe: ProbeResult = probe_sandbox(settings.agent_sandbox)
        self._bubblewrap: Bubblewrap | None = self.probe.bubblewrap
        network = settings.agent_network
        if network != "open" and self._bubblewrap is None:
            problem = f"AGENT_NETWORK={network} needs a sandbox, and there is none: {self.probe.reason}"
            raise NotConfigured(problem, self.probe.remedy)
        if network != "allow" and settings.agent_egress_allow:
            raise NotConfigured(f"AGENT_EGRESS_ALLOW needs AGENT_NETWORK=allow; it is {network}")
        self._resolver = Resolver(read_destinations(settings.agent_egress_allow)) if network == "allow" else None
        self.cgroups = Cgroups(version=None, reason="not looked for yet")
        self._limits = ResourceLimits(
            memory_mb=settings.agent_memory_mb,
            processes=settings.agent_processes,
            open_files=settings.agent_open_files,
            file_mb=settings.agent_file_mb,
        )
        self._prefix = run_prefix(settings.state_dir)

    async def open(self) -> None:
        """Find control groups, and end the processes that an earlier host on this state directory left."""
        if self._bubblewrap is not None:
            self.cgroups = await asyncio.to_thread(find_cgroups)
            await asyncio.to_thread(self.cgroups.clear, self._prefix)
            return
        become_subreaper()
        if left := await kill_leftover_processes(self._prefix):
            _log.warning("processes of an earlier host could not be ended: %s", left)

    def place(
        self, argv: list[str], environment: dict[str, str], run: RunFiles, *, is_spare: bool = False
    ) -> Placement:
        """Return how to start the process of a run; `environment` is completed. Raises SpawnFailed or NotConfigured.

        A spare starts in its temporary directory and is moved to the checkout later.
        """
        if self._bubblewrap is None:
            if run.offline:
                raise NotConfigured(f"a run without network needs a sandbox, and there is none: {self.probe.reason}")
            return self._place_in_the_open(argv, environment, run, is_spare)
        spec, cgroup = self._spec(run, Path("/tmp") if is_spare else None), self._cgroup(run.run_id)
        command = bubblewrap_argv(spec, argv, self._bubblewrap)
        environment = environment | spec.variables()
        if self._resolver is not None and not run.offline:
            command = wait_for_gateway(command, run.gate)
            environment |= proxy_variables()
        return Placement(in_cgroup(command, cgroup), environment, Path("/"), cookie=None, cgroup=cgroup)

    def _place_in_the_open(
        self, argv: list[str], environment: dict[str, str], run: RunFiles, is_spare: bool
    ) -> Placement:
        cookie = f"{self._prefix}{run.run_id}"
        environment = environment | run.private.variables() | {COOKIE: cookie}
        directory = run.private.tmp if is_spare else run.checkout.path
        return Placement(with_marker(cookie, with_lower_priority(argv)), environment, directory, cookie)

    def path_in_sandbox(self, checkout: Checkout) -> Path:
        """Return the checkout's path as the processes of its run see it."""
        return checkout.path if self._bubblewrap is None else self._mount_point(checkout)

    def limit_shared(self, pid: int) -> AbstractAsyncContextManager[object]:
        """Bound, soon after its start, what the run started as `pid` takes of limits that all runs share."""
        if self._bubblewrap is None or not self._bubblewrap.user_namespace:
            return nullcontext()
        return background_task(limit_shared(pid), name="shared-limits")

    def open_gateway(self, pid: int, run: RunFiles, whose: Callable[[], str]) -> AbstractAsyncContextManager[None]:
        """Give the run that was started as `pid` its network; nothing unless AGENT_NETWORK=allow.

        `whose` returns the id of the run for refusals in the log. Raises SpawnFailed.
        """
        if self._resolver is None or run.offline:
            return nullcontext()
        return open_gateway(pid, run.gate, self._resolver, whose)

    def _spec(self, run: RunFiles, start_in: Path | None) -> SandboxSpec:
        has_network = self._settings.agent_network == "open" and not run.offline
        return SandboxSpec(
            checkout=run.checkout.path,
            mounted_at=self._mount_point(run.checkout),
            start_in=start_in,
            config_dir=run.private.config,
            tmp_dir=run.private.tmp,
            home_dir=run.private.home,
            read_paths=(*run.checkout.read_paths, *self._settings.agent_read_paths),
            write_paths=tuple(self._settings.agent_write_paths),
            hide=(self._settings.state_dir,),
            network=has_network,
            provider_socket=None if has_network else self._settings.provider_socket,
            limits=self._limits,
        )

    def _cgroup(self, run_id: str) -> Cgroup | None:
        """Make a group for the sum of what a run takes; each process meets its own limits sooner, and more gently."""
        if self.cgroups.version is None:
            return None
        try:
            return self.cgroups.make(f"{self._prefix}{run_id}", self._limits)
        except OSError as error:
            raise SpawnFailed(f"no control group can be made for the run: {error.strerror}") from error

    def _mount_point(self, checkout: Checkout) -> Path:
        """Return WORKSPACE_DIR's own path where that is a checkout, so that absolute paths in it hold."""
        own = self._settings.workspace_dir
        if checkout.snapshot.workspace == DEFAULT_WORKSPACE and own is not None and Path(own, ".git").is_dir():
            return Path(own).absolute()
        return WORKSPACES / checkout.snapshot.workspace


def run_prefix(state_dir: Path) -> str:
    """Return the beginning of the cookies and control groups of all runs of the host on this state directory."""
    return f"cas-{zlib.crc32(str(state_dir).encode()):08x}-"
