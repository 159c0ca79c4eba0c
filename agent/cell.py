"""The cell that an agent lives in, as a bubblewrap command line; builds it and runs nothing."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pydantic import Field, model_validator

from agent.errors import NotConfigured
from agent.limits import Limits, limited
from agent.models import Frozen

# Everything else of /etc stays outside: as root without capabilities, an agent still owns what root owns.
PUBLIC_ETC = [
    "alternatives",
    "bash.bashrc",
    "bash_completion.d",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "debian_version",
    "default/locale",
    "fonts",
    "gai.conf",
    "gitconfig",
    "gnutls",
    "group",
    "host.conf",
    "hostname",
    "hosts",
    "inputrc",
    "java",
    "java-11-openjdk",
    "java-17-openjdk",
    "java-21-openjdk",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "ld-musl-x86_64.path",
    "locale.alias",
    "locale.conf",
    "localtime",
    "login.defs",
    "lsb-release",
    "magic",
    "magic.mime",
    "maven",
    "mime.types",
    "networks",
    "nsswitch.conf",
    "os-release",
    "passwd",
    "perl",
    "pki/ca-trust",
    "pki/tls/cert.pem",
    "pki/tls/certs",
    "pki/tls/openssl.cnf",
    "profile",
    "profile.d",
    "protocols",
    "python3",
    "resolv.conf",
    "rpc",
    "services",
    "shells",
    "skel",
    "ssh/ssh_config",
    "ssh/ssh_config.d",
    "ssh/ssh_known_hosts",
    "ssl/cert.pem",
    "ssl/certs",
    "ssl/openssl.cnf",
    "static",
    "terminfo",
    "timezone",
    "xdg",
    "zoneinfo",
]
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store")
HARMLESS = ("/sys/devices/system/cpu",)
SHM_BYTES = 256 * 1024 * 1024


class Bubblewrap(Frozen):
    """The program that builds cells, and what it can do on this machine."""

    path: Path
    version: str = ""
    user_namespace: bool = Field(default=True, description="The cell has a user namespace of its own.")
    seal: bool = Field(default=True, description="And nothing in it can make another one (--disable-userns).")
    sizes: bool = Field(default=True, description="It can bound what is kept in memory (0.7 and later).")


class CellPlan(Frozen):
    """What one agent sees of the machine: the system, read-only, and what is named here."""

    checkout: Path
    mounted_at: Path | None = Field(default=None, description="Where the checkout appears; unset: at its own path.")
    start_in: Path | None = Field(default=None, description="The first directory, as the cell names it.")
    config_dir: Path = Field(description="Appears as .claude in the home directory.")
    tmp_dir: Path = Field(description="Appears as /tmp.")
    home_dir: Path | None = Field(default=None, description="Appears as the home directory; unset: in memory.")
    home: Path = Path("/home/agent")
    read_paths: tuple[Path, ...] = ()
    write_paths: tuple[Path, ...] = ()
    hide: tuple[Path, ...] = Field(default=(), description="Covered, even where a path above is visible.")
    limits: Limits = Limits()
    memory_by_cgroup: bool = False

    @model_validator(mode="after")
    def no_source_inside_a_writable_one(self) -> CellPlan:
        """An agent could put a link to /etc/shadow there, and the next cell would follow it."""
        writable = [self.checkout, self.config_dir, self.tmp_dir, *self.write_paths]
        for path in (*writable, *self.read_paths, *([self.home_dir] if self.home_dir else [])):
            above = next((other for other in writable if other in path.parents), None)
            if above is not None:
                raise NotConfigured(f"{path} lies inside {above}, which agents may write; name only one of them")
        return self

    @property
    def workdir(self) -> Path:
        """The checkout, as the cell names it."""
        return self.mounted_at or self.checkout

    def variables(self) -> dict[str, str]:
        """What the agent's environment has to say about this place."""
        return {
            "HOME": str(self.home),
            "CLAUDE_CONFIG_DIR": str(self.home / ".claude"),
            "CLAUDE_CODE_TMPDIR": "/tmp",
        }


class Mount(NamedTuple):
    """One thing at one place of the cell."""

    at: Path
    arguments: tuple[str, ...]


def enclose(plan: CellPlan, argv: list[str], bubblewrap: Bubblewrap) -> list[str]:
    """The command that runs `argv` in the cell; the environment and the pipes are those it is spawned with."""
    system = () if Path("/") in plan.read_paths else _system()
    private = _private(plan, bubblewrap.sizes)
    mounts = sorted([*system, *private, *_granted(plan, argv)], key=lambda mount: len(mount.at.parts))
    covered = [path for path in plan.hide if path.is_dir()]
    limits = limited(
        plan.limits,
        argv,
        memory_by_cgroup=plan.memory_by_cgroup,
        own_user_namespace=bubblewrap.user_namespace,
    )
    return [
        str(bubblewrap.path),
        *_namespaces(bubblewrap),
        *(argument for mount in mounts for argument in mount.arguments),
        # A procfs is writable for root, without any capability: /proc/sys/kernel/core_pattern is the way out.
        *(word for path in ("/proc", "/dev", *covered, "/") for word in ("--remount-ro", str(path))),
        *("--chdir", str(plan.start_in or plan.workdir), "--"),
        *limits,
    ]


def _namespaces(bubblewrap: Bubblewrap) -> list[str]:
    """New session: no terminal to type into. Ambient and bounding sets too: no capability, even for root."""
    own = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    if bubblewrap.user_namespace:
        own.append("--unshare-user")
    if bubblewrap.user_namespace and bubblewrap.seal:
        own.append("--disable-userns")
    return [*own, "--die-with-parent", "--new-session", "--cap-drop", "ALL"]


@cache
def _system() -> tuple[Mount, ...]:
    """The system, for reading; links stay links, so that /bin and /usr/bin are one."""
    places = [Path(place) for place in (*SYSTEM, *HARMLESS)]
    places += [Path("/etc", name) for name in PUBLIC_ETC]
    return tuple(_as_it_is(place) for place in places if _is_there(place))


def _as_it_is(place: Path) -> Mount:
    if place.is_symlink() and len(place.parts) == 2:
        return Mount(place, ("--symlink", str(place.readlink()), str(place)))
    return _read(place, place)


def _private(plan: CellPlan, sizes: bool) -> list[Mount]:
    """What every cell has for itself."""
    home = _write(plan.home_dir, plan.home) if plan.home_dir else _memory(plan.home, sizes)
    return [
        Mount(Path("/proc"), ("--proc", "/proc")),
        Mount(Path("/dev"), ("--dev", "/dev")),
        _memory(Path("/dev/shm"), sizes),
        Mount(Path("/run"), ("--dir", "/run")),
        _write(plan.tmp_dir, Path("/tmp")),
        _write(plan.tmp_dir, Path("/var/tmp")),
        home,
        _write(plan.config_dir, plan.home / ".claude"),
    ]


def _granted(plan: CellPlan, argv: list[str]) -> list[Mount]:
    """What this agent gets besides, and what is taken away; deeper places come later and win."""
    program = Path(argv[0])
    mounts = [_cover(path) for path in plan.hide if _is_there(path)]
    mounts += [_read(path, path) for path in plan.read_paths if _is_there(path)]
    mounts += [_write(path, path) for path in plan.write_paths if _is_there(path)]
    mounts.append(_write(plan.checkout, plan.workdir))
    if program.is_absolute() and not any(Path(place) in program.parents for place in SYSTEM):
        mounts.append(_read(program, program))
    return mounts


def _read(source: Path, at: Path) -> Mount:
    return Mount(at, ("--ro-bind", str(source), str(at)))


def _write(source: Path, at: Path) -> Mount:
    return Mount(at, ("--bind", str(source), str(at)))


def _memory(at: Path, sizes: bool) -> Mount:
    bound = ("--size", str(SHM_BYTES)) if sizes else ()
    return Mount(at, (*bound, "--tmpfs", str(at)))


def _cover(path: Path) -> Mount:
    if path.is_dir():
        return Mount(path, ("--tmpfs", str(path)))
    return _read(Path("/dev/null"), path)


def _is_there(path: Path) -> bool:
    """Whether this process can reach `path`; where it cannot, bubblewrap could not either."""
    return os.access(path, os.F_OK)
