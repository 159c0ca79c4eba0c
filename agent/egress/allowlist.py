"""Parses AGENT_EGRESS_ALLOW and matches destinations against it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_network
from typing import NamedTuple

from agent.domain.errors import NotConfigured
from agent.domain.values import Frozen
from agent.system.addresses import Address, is_public, read_address, unwrapped

USUAL_PORTS = (80, 443)
"""Those of an entry that names none."""

NAME = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,252}")
_ENTRY = re.compile(r"(?:\[(?P<six>[^]]+)\]|(?P<host>[^:]+)|(?P<bare>[^:]*:[^:]*:.*?))(?::(?P<port>\d{1,5}))?")


class Destination(NamedTuple):
    """A host, a name in lower case or an address, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Allowlist(Frozen):
    """A list of names and of networks, each with its ports.

    A name leads to public addresses alone: whoever answers for it decides where it leads, and could say 127.0.0.1.
    What is not public has to be listed by its address as well.
    """

    names: tuple[tuple[str, tuple[int, ...]], ...] = ()
    networks: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def lists(self, destination: Destination) -> bool:
        """True if an agent may ask for it, wherever it leads."""
        address = read_address(destination.host)
        if address is not None and self._in_a_network(address, destination.port):
            return True
        matching = "*" if address is not None else destination.host
        return any(destination.port in ports and _matches(matching, pattern) for pattern, ports in self.names)

    def allows(self, address: Address, port: int, own: Iterable[Address] = ()) -> bool:
        """True if a connection may be made to what a listed host led to; `own` are this machine's addresses."""
        if is_public(address) and unwrapped(address) not in own:
            return True
        return self._in_a_network(address, port)

    def _in_a_network(self, address: Address, port: int) -> bool:
        forms = {address, unwrapped(address)}
        return any(port in ports and _is_in(forms, network) for network, ports in self.networks)


def read_destinations(entries: Iterable[str]) -> Allowlist:
    """From `example.com`, `*.example.com:443`, `*`, `10.1.2.3:5432`, `10.0.0.0/8`, `[fd00::1]:80`.

    Raises NotConfigured for anything else.
    """
    names, networks = [], []
    for entry in entries:
        found = _ENTRY.fullmatch(entry.strip().lower())
        host = (found["six"] or found["host"] or found["bare"]) if found else ""
        ports = (int(found["port"]),) if found and found["port"] else USUAL_PORTS
        network = _network(host)
        if network is not None and all(0 < port < 65536 for port in ports):
            networks.append((network, ports))
        elif (host == "*" or NAME.fullmatch(host.removeprefix("*."))) and all(0 < port < 65536 for port in ports):
            names.append((host.rstrip("."), ports))
        else:
            raise NotConfigured(f"AGENT_EGRESS_ALLOW: {entry!r} is no host, *.domain, address or network, or no port")
    return Allowlist(names=tuple(names), networks=tuple(networks))


def _matches(host: str, pattern: str) -> bool:
    return pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:]))


def _is_in(forms: set[Address], network: str) -> bool:
    return any(form in ip_network(network) for form in forms)


def _network(host: str) -> str | None:
    try:
        return str(ip_network(host))
    except ValueError:
        return None
