"""What of the machine's own files every agent may read: enough to work with, nothing that is secret."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from agent.mounts import Mount, is_there, linked, readable

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
    """The system alone, for reading; links stay links, so that /bin and /usr/bin are one."""
    places = [Path(place) for place in SYSTEM]
    places += [Path("/etc", name) for name in PUBLIC_ETC]
    return tuple(_as_it_is(place) for place in places if is_there(place))


def every_mount() -> tuple[Mount, ...]:
    """The whole machine, for reading, but for what each cell has of its own; new places can still be made in /."""
    places = [place for place in Path("/").iterdir() if place.name not in ("proc", "dev", "tmp")]
    return tuple(_as_it_is(place) for place in places)


def _as_it_is(place: Path) -> Mount:
    if place.is_symlink() and len(place.parts) == 2:
        return linked(place.readlink(), place)
    return readable(place, place)
