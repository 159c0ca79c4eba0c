"""How this host holds its agents: each in a cell, or by cookie and sweep where there are no cells."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path

from agent.domain.checkout import Checkout
from agent.domain.errors import NotConfigured, SpawnFailed
from agent.domain.values import Frozen
from agent.egress import gateway as way_out
from agent.egress.allowlist import read_destinations
from agent.egress.gateway import wait_for_gateway
from agent.egress.resolver import Resolver
from agent.sandbox.bubblewrap import DOOR, SandboxSpec, bubblewrap_argv
from agent.sandbox.cgroups import Cgroup, Cgroups, find_cgroups, in_cgroup
from agent.sandbox.probe import ProbeResult, probe_sandbox
from agent.sandbox.process_sweep import (
    COOKIE,
    Sweep,
    become_subreaper,
    kill_leftover_processes,
    kill_run_processes,
    with_marker,
)
from agent.sandbox.resource_limits import ResourceLimits
from agent.sandbox.run_directory import RunDirectory
from agent.settings import AgentSettings

WORKSPACES = Path("/workspace")
"""Where checkouts of remote repositories appear in a cell: the same place in each slot, so that prompt caches hold."""


class Placement(Frozen):
    """Where and how one agent's process is started."""

    argv: list[str]
    environment: dict[str, str]
    directory: Path
    cookie: str | None
    group: Cgroup | None = None

    def kill_run_processes(self) -> Sweep | None:
        """What ends the processes that a cell would have ended, or takes the cell's control group away."""
        cookie, group = self.cookie, self.group
        if cookie is None and group is None:
            return None

        async def end_all(pid: int) -> None:
            if cookie is not None:
                await kill_run_processes(cookie, managed=[pid])
            if group is not None:
                await asyncio.to_thread(group.remove)

        return end_all


class Sandbox:
    """Built once a host; raises NotConfigured when AGENT_SANDBOX or AGENT_NETWORK needs cells and none can be had."""

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings
        self.sandbox: ProbeResult = probe_sandbox(settings.agent_sandbox)
        network = settings.agent_network
        if network != "open" and self.sandbox.bubblewrap is None:
            raise NotConfigured(f"AGENT_NETWORK={network} needs cells, and there are none: {self.sandbox.reason}")
        if network != "allow" and settings.agent_egress_allow:
            raise NotConfigured(f"AGENT_EGRESS_ALLOW needs AGENT_NETWORK=allow; it is {network}")
        self._routes = Resolver(read_destinations(settings.agent_egress_allow)) if network == "allow" else None
        self.cgroups = Cgroups(version=None, reason="not looked for yet")
        self._limits = ResourceLimits(
            memory_mb=settings.agent_memory_mb,
            processes=settings.agent_processes,
            open_files=settings.agent_open_files,
            file_mb=settings.agent_file_mb,
        )
        self._prefix = run_prefix(settings.state_dir)

    async def open(self) -> list[int]:
        """Find control groups for cells; without cells, get hold of orphans to come, and end those that an
        earlier host left: their ids.
        """
        if self.sandbox.bubblewrap is not None:
            self.cgroups = await asyncio.to_thread(find_cgroups)
            await asyncio.to_thread(self.cgroups.clear, self._prefix)
            return []
        become_subreaper()
        return await kill_leftover_processes(self._prefix)

    def place(
        self,
        argv: list[str],
        environment: dict[str, str],
        checkout: Checkout,
        private: RunDirectory,
        run_id: str,
        *,
        is_spare: bool = False,
    ) -> Placement:
        """The place of one run; `environment` is completed with what the place itself decides.

        A spare begins in its directory for temporary files, and is led to the checkout later.
        """
        if self.sandbox.bubblewrap is not None:
            plan, group = self._plan(checkout, private, Path("/tmp") if is_spare else None), self._group(run_id)
            cell = bubblewrap_argv(plan, argv, self.sandbox.bubblewrap)
            return Placement(
                argv=in_cgroup(wait_for_gateway(cell, _gate(private)) if self._routes else cell, group),
                environment=environment
                | plan.variables()
                | ({"ANTHROPIC_UNIX_SOCKET": str(DOOR)} if plan.door else {})
                | (way_out.proxy_variables() if self._routes else {}),
                directory=Path("/"),
                cookie=None,
                group=group,
            )
        cookie = f"{self._prefix}{run_id}"
        return Placement(
            argv=with_marker(cookie, argv),
            environment=environment | private.variables() | {COOKIE: cookie},
            directory=private.tmp if is_spare else checkout.path,
            cookie=cookie,
        )

    def seen_at(self, checkout: Checkout) -> Path:
        """The checkout's path as its agent knows it."""
        return checkout.path if self.sandbox.bubblewrap is None else self._mounted_at(checkout)

    def way_out(self, pid: int, private: RunDirectory, whose: Callable[[], str]) -> AbstractAsyncContextManager[None]:
        """What the agent of a place, started as `pid`, has of the network; nothing unless AGENT_NETWORK=allow."""
        if self._routes is None:
            return nullcontext()
        return way_out.open_gateway(pid, _gate(private), self._routes, whose)

    def _plan(self, checkout: Checkout, private: RunDirectory, start_in: Path | None) -> SandboxSpec:
        return SandboxSpec(
            checkout=checkout.path,
            mounted_at=self._mounted_at(checkout),
            start_in=start_in,
            config_dir=private.config,
            tmp_dir=private.tmp,
            home_dir=private.home,
            read_paths=(*checkout.read_paths, *self._settings.agent_read_paths),
            write_paths=tuple(self._settings.agent_write_paths),
            hide=(self._settings.state_dir,),
            network=self._settings.agent_network == "open",
            door=self._settings.provider_socket,
            limits=self._limits,
        )

    def _group(self, run_id: str) -> Cgroup | None:
        """For the sum of what a run takes; each of its processes meets its own limits sooner, and more gently."""
        if self.cgroups.version is None:
            return None
        try:
            return self.cgroups.make(f"{self._prefix}{run_id}", self._limits)
        except OSError as error:
            raise SpawnFailed(f"no control group can be made for the run: {error.strerror}") from error

    def _mounted_at(self, checkout: Checkout) -> Path:
        """WORKSPACE_DIR's own path where that is a checkout, so that absolute paths in it hold."""
        own = self._settings.workspace_dir
        if checkout.snapshot.workspace == "default" and own is not None and Path(own, ".git").is_dir():
            return Path(own).absolute()
        return WORKSPACES / checkout.snapshot.workspace


def _gate(private: RunDirectory) -> Path:
    return private.directory / "gate"


def run_prefix(state_dir: Path) -> str:
    """How the cookies and control groups of the runs of the host with this state begin."""
    return f"cas-{zlib.crc32(str(state_dir).encode()):08x}-"
