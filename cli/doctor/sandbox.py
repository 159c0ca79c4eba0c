"""Checks of what confines agents: the sandbox, control groups, the service's user."""

from __future__ import annotations

import asyncio
import os
import pwd
from pathlib import Path

from agent.domain.errors import NotConfigured
from agent.pool.slots import default_capacity
from agent.sandbox.cgroups import CONTROLLERS, ROOT, find_cgroups
from agent.sandbox.probe import ProbeResult, probe_sandbox
from agent.sandbox.resource_limits import MB
from agent.system.machine import read_machine
from cli.doctor.context import DoctorContext
from cli.doctor.finding import Finding, broken, ok, warning

TRIAL_SECONDS = 4.0
GB = 1024 * MB


async def check_sandbox(world: DoctorContext) -> list[Finding]:
    """Check that a sandbox can be built, and that a run can be limited as a whole."""
    try:
        sandbox = await asyncio.to_thread(probe_sandbox, world.agent.agent_sandbox, timeout_seconds=TRIAL_SECONDS)
    except NotConfigured as error:
        return [broken("sandbox", error.problem, error.remedy or "see docs/security.md")]
    if sandbox.bubblewrap is None:
        return [_without_sandbox(world, sandbox)]
    spaces = "a user namespace each" if sandbox.bubblewrap.user_namespace else "root's own user namespace"
    well = ok("sandbox", f"bubblewrap {sandbox.version}: {sandbox.reason}; {spaces}")
    return [well, await asyncio.to_thread(_groups)]


async def check_user(world: DoctorContext) -> list[Finding]:
    """Check that the user is not root."""
    if os.geteuid() == 0:
        return [
            warning("user", "root: an agent that leaves its sandbox is root", "run the service as a user of its own")
        ]
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        name = str(os.geteuid())
    return [ok("user", name)]


def _without_sandbox(world: DoctorContext, sandbox: ProbeResult) -> Finding:
    why = sandbox.reason
    mend = "AGENT_SANDBOX=auto" if world.agent.agent_sandbox == "off" else sandbox.remedy or "see docs/security.md"
    network = world.agent.agent_network
    if network != "open":
        return broken("sandbox", f"AGENT_NETWORK={network} needs a sandbox, and none can be built: {why}", mend)
    return warning("sandbox", f"no sandbox: agents have all rights of this user: {why}", mend)


async def check_size(world: DoctorContext) -> list[Finding]:
    """Compare the number of agents with the memory and the processors that there are, a container's limits included."""
    machine = read_machine()
    capacity = world.agent.agent_capacity
    default = default_capacity(machine)
    limits = " (the limit of its control group)" if machine.memory_limited or machine.processors_limited else ""
    there = f"{machine.memory_bytes / GB:.1f} GB of memory and {machine.processors:g} processors{limits}"
    if capacity is not None and capacity > default:
        text = f"AGENT_CAPACITY={capacity} with {there}: agents may be killed for want of memory, or take turns"
        return [warning("size", text, f"export AGENT_CAPACITY={default}, or give it more")]
    of_agent = world.agent.agent_memory_mb
    if of_agent is not None and of_agent * MB > machine.memory_bytes:
        text = f"{there}; AGENT_MEMORY_MB={of_agent} is more: the limit of an agent is that of all"
        return [ok("size", f"{capacity or default} agents at once, with {text}")]
    return [ok("size", f"{capacity or default} agents at once, with {there}")]


def _group_remedy() -> str:
    """Return how to get control groups here: a container cannot have any, and a unit needs to be told."""
    if in_container():
        return "nothing: in a container its own limit (--memory, --pids-limit) bounds all agents together"
    if "INVOCATION_ID" in os.environ and find_version() == 1:
        return "boot with version 2 (systemd.unified_cgroup_hierarchy=1): systemd delegates no memory of version 1"
    return "start the service from a systemd unit with Delegate=yes"


def in_container() -> bool:
    """True if this process runs in a container of Docker, Podman, Kubernetes or systemd-nspawn."""
    marks = (Path("/.dockerenv"), Path("/run/.containerenv"), Path("/run/systemd/container"))
    return any(mark.exists() for mark in marks) or "KUBERNETES_SERVICE_HOST" in os.environ


def find_version() -> int:
    """Return the version of the control groups that are mounted here."""
    return 2 if (ROOT / "cgroup.controllers").exists() else 1


def _groups() -> Finding:
    """Check control groups without a move: with version 2 the service moves to a group of its own at its start."""
    mend = _group_remedy()
    memberships = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    named = {name for _, names, _ in memberships for name in names.split(",")}
    if set(CONTROLLERS) <= named:
        groups = find_cgroups()
        if groups.version is None:
            return warning("cgroups", f"a run is bounded process by process: {groups.reason}", mend)
        return ok("cgroups", f"each run is bounded as a whole ({groups.reason})")
    base = ROOT / next((path.lstrip("/") for _, names, path in memberships if not names), "")
    if os.access(base / "cgroup.subtree_control", os.W_OK):
        return ok("cgroups", "version 2; a service that is alone in its group bounds each run as a whole")
    return warning("cgroups", "a run is bounded process by process: this control group is not ours", mend)
