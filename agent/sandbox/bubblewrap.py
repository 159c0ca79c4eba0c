"""Builds the bubblewrap command line of a sandbox; runs nothing."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from agent.domain.errors import NotConfigured
from agent.domain.values import Frozen
from agent.sandbox.cpu_priority import with_lower_priority
from agent.sandbox.mounts import (
    SYSTEM,
    Mount,
    cover,
    every_mount,
    in_memory,
    is_there,
    readable,
    system_mounts,
    writable,
)
from agent.sandbox.resource_limits import ResourceLimits, limited

PROVIDER_SOCKET = Path("/run/provider.sock")
"""Where an agent without a network finds the model; the path of a socket may have 107 bytes at most."""


class Bubblewrap(Frozen):
    """The bubblewrap program, and what it can do on this machine."""

    path: Path
    version: str = ""
    user_namespace: bool = Field(default=True, description="The sandbox has a user namespace of its own.")
    seal: bool = Field(default=True, description="And nothing in it can make another one (--disable-userns).")
    sizes: bool = Field(default=True, description="It can bound what is kept in memory (0.7 and later).")


class SandboxSpec(Frozen):
    """What one agent sees of the machine: the system, read-only, and what is named here."""

    checkout: Path
    mounted_at: Path | None = Field(default=None, description="Where the checkout appears; unset: at its own path.")
    start_in: Path | None = Field(default=None, description="The first directory, as the sandbox names it.")
    config_dir: Path = Field(description="Appears as .claude in the home directory.")
    tmp_dir: Path = Field(description="Appears as /tmp.")
    home_dir: Path | None = Field(default=None, description="Appears as the home directory; unset: in memory.")
    home: Path = Path("/agent")
    read_paths: tuple[Path, ...] = ()
    write_paths: tuple[Path, ...] = ()
    hide: tuple[Path, ...] = Field(default=(), description="Covered, where a path above it is visible.")
    network: bool = Field(default=True, description="False: no route to anywhere, not even to this machine.")
    provider_socket: Path | None = Field(default=None, description="Appears as PROVIDER_SOCKET.")
    limits: ResourceLimits = ResourceLimits()
    memory_by_cgroup: bool = False

    @model_validator(mode="after")
    def no_source_inside_a_writable_one(self) -> SandboxSpec:
        """Refuse it: an agent could put a link to /etc/shadow there, and the next sandbox would follow it."""
        agents_own = [self.checkout, self.config_dir, self.tmp_dir, *self.write_paths]
        agents_own += [self.home_dir] if self.home_dir else []
        for path in (*agents_own, *self.read_paths):
            above = next((other for other in agents_own if other in path.parents), None)
            if above is not None:
                raise NotConfigured(f"{path} lies inside {above}, which agents may write; name only one of them")
        return self

    @property
    def workdir(self) -> Path:
        """Return the checkout's path as the sandbox names it."""
        return self.mounted_at or self.checkout

    def variables(self) -> dict[str, str]:
        """Return what the agent's environment has to say about the sandbox."""
        socket = {"ANTHROPIC_UNIX_SOCKET": str(PROVIDER_SOCKET)} if self.provider_socket else {}
        return {
            "HOME": str(self.home),
            "CLAUDE_CONFIG_DIR": str(self.home / ".claude"),
            "CLAUDE_CODE_TMPDIR": "/tmp",
            **socket,
        }


def bubblewrap_argv(plan: SandboxSpec, argv: list[str], bubblewrap: Bubblewrap) -> list[str]:
    """Return the command that runs `argv` in the sandbox; environment and pipes are those it is spawned with."""
    mounts = _mounts(plan, argv, bubblewrap.sizes)
    covered = [mount.at for mount in mounts if mount.words[:1] == ("--tmpfs",) and mount.at in plan.hide]
    limits = limited(
        plan.limits,
        with_lower_priority(argv),
        memory_by_cgroup=plan.memory_by_cgroup,
        own_user_namespace=bubblewrap.user_namespace,
    )
    return [
        str(bubblewrap.path),
        *_namespaces(plan, bubblewrap),
        *(word for mount in mounts for word in mount.words),
        # A procfs is writable for root, without any capability: /proc/sys/kernel/core_pattern is the way out.
        *(word for path in ("/proc", "/dev", *covered, "/") for word in ("--remount-ro", str(path))),
        *("--chdir", str(plan.start_in or plan.workdir), "--"),
        *limits,
    ]


def _namespaces(plan: SandboxSpec, bubblewrap: Bubblewrap) -> list[str]:
    """Return the namespaces: a new session, so no terminal to type into; no capability, not even for root."""
    own = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    if not plan.network:
        own.append("--unshare-net")
    if bubblewrap.user_namespace:
        own.append("--unshare-user")
    if bubblewrap.user_namespace and bubblewrap.seal:
        own.append("--disable-userns")
    return [*own, "--die-with-parent", "--new-session", "--cap-drop", "ALL"]


def _mounts(plan: SandboxSpec, argv: list[str], sizes: bool) -> list[Mount]:
    """Return all mounts in order: deeper places come later, and so win."""
    system = every_mount() if Path("/") in plan.read_paths else system_mounts()
    granted = _granted(plan, argv)
    seen_as_it_is = {mount.at for mount in (*system, *granted) if mount.words[1:] == (str(mount.at),) * 2}
    hidden = [cover(path) for path in plan.hide if seen_as_it_is.intersection(path.parents) and is_there(path)]
    visible = [*system, *_private(plan, sizes), *granted]
    return sorted([*hidden, *visible], key=lambda mount: len(mount.at.parts))


def _private(plan: SandboxSpec, sizes: bool) -> list[Mount]:
    """Return what every sandbox has for itself."""
    home = writable(plan.home_dir, plan.home) if plan.home_dir else in_memory(plan.home, sizes=sizes)
    return [
        Mount(Path("/proc"), ("--proc", "/proc")),
        Mount(Path("/dev"), ("--dev", "/dev")),
        in_memory(Path("/dev/shm"), sizes=sizes),
        Mount(Path("/run"), ("--dir", "/run")),
        writable(plan.tmp_dir, Path("/tmp")),
        writable(plan.tmp_dir, Path("/var/tmp")),
        home,
        writable(plan.config_dir, plan.home / ".claude"),
        *_provider_socket(plan),
    ]


def _provider_socket(plan: SandboxSpec) -> list[Mount]:
    if plan.provider_socket is None or not is_there(plan.provider_socket):
        return []
    return [readable(plan.provider_socket, PROVIDER_SOCKET)]


def _granted(plan: SandboxSpec, argv: list[str]) -> list[Mount]:
    """Return what this agent gets besides; its own program too, wherever that lies."""
    mounts = [readable(path, path) for path in plan.read_paths if is_there(path) and path != Path("/")]
    mounts += [writable(path, path) for path in plan.write_paths if is_there(path)]
    mounts.append(writable(plan.checkout, plan.workdir))
    program = Path(argv[0])
    if program.is_absolute() and not any(Path(place) in program.parents for place in SYSTEM):
        mounts.append(readable(program, program))
    return mounts
