"""Mount options for bubblewrap, and the system paths that every sandbox can read."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

MEMORY_BYTES = 256 * 1024 * 1024


class Mount(NamedTuple):
    """One thing at one place of the sandbox."""

    at: Path
    words: tuple[str, ...]


def readable(source: Path, at: Path) -> Mount:
    """Mount a file or directory of the machine, for reading."""
    return Mount(at, ("--ro-bind", str(source), str(at)))


def writable(source: Path, at: Path) -> Mount:
    """Mount a file or directory of the machine, for writing."""
    return Mount(at, ("--bind", str(source), str(at)))


def linked(target: Path, at: Path) -> Mount:
    """Make a symbolic link."""
    return Mount(at, ("--symlink", str(target), str(at)))


def in_memory(at: Path, *, sizes: bool) -> Mount:
    """Make an empty directory in memory; `sizes`: this bubblewrap can bound it."""
    bound = ("--size", str(MEMORY_BYTES)) if sizes else ()
    return Mount(at, (*bound, "--tmpfs", str(at)))


def cover(path: Path) -> Mount:
    """Nothing, where the machine has something."""
    if path.is_dir():
        return Mount(path, ("--tmpfs", str(path)))
    return readable(Path("/dev/null"), path)


def is_there(path: Path) -> bool:
    """True if this process can reach `path`; where it cannot, bubblewrap could not either."""
    return os.access(path, os.F_OK)


NAMES = ("group", "hosts", "hostname", "nsswitch.conf", "passwd", "resolv.conf", "services", "protocols", "gai.conf")
MACHINE = ("alternatives", "ld.so.cache", "localtime", "timezone", "os-release", "static")
SHELLS = ("bash.bashrc", "profile", "profile.d")
TLS = ("crypto-policies", "pki/ca-trust", "pki/tls/cert.pem", "pki/tls/certs", "pki/tls/openssl.cnf")
TLS_DEBIAN = ("ssl/cert.pem", "ssl/certs", "ssl/openssl.cnf")
SSH = ("ssh/ssh_config", "ssh/ssh_config.d", "ssh/ssh_known_hosts")
TOOLS = ("fonts", "gitconfig", "mime.types")
JAVA = ("java", "java-11-openjdk", "java-17-openjdk", "java-21-openjdk", "java-25-openjdk")

# Everything else of /etc stays outside: as root without capabilities, an agent still owns what root owns. Each
# place costs bubblewrap half a millisecond, so what is merely harmless is not here either.
PUBLIC_ETC = (*NAMES, *MACHINE, *SHELLS, *TLS, *TLS_DEBIAN, *SSH, *TOOLS, *JAVA)
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store")


@cache
def system_mounts() -> tuple[Mount, ...]:
    """Mount the system alone, for reading; links stay links, so that /bin and /usr/bin are one."""
    places = [Path(place) for place in SYSTEM]
    places += [Path("/etc", name) for name in PUBLIC_ETC]
    return tuple(_as_it_is(place) for place in places if is_there(place))


def every_mount() -> tuple[Mount, ...]:
    """Mount the whole machine, for reading, but for what each sandbox has of its own; / takes new places."""
    places = [place for place in Path("/").iterdir() if place.name not in ("proc", "dev", "tmp")]
    return tuple(_as_it_is(place) for place in places)


def _as_it_is(place: Path) -> Mount:
    if place.is_symlink() and len(place.parts) == 2:
        return linked(place.readlink(), place)
    return readable(place, place)
