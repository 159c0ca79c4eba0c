"""Resolves an allowed destination and rejects addresses of the host and of private networks."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import psutil

from agent.egress.allowlist import Allowlist, Destination
from agent.system.addresses import Address, read_address, unwrapped

Resolve = Callable[[Destination], list[Address]]


class NotAllowed(Exception):
    """An agent asked for a place that it may not reach."""

    def __init__(self, destination: Destination, reason: str) -> None:
        self.destination = destination
        super().__init__(f"{destination} was refused: {reason}")


def resolve(destination: Destination) -> list[Address]:
    """Return what the machine's own resolver says; raises OSError."""
    found = socket.getaddrinfo(destination.host, destination.port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(str(place[4][0]).partition("%")[0]) for place in found))


class Resolver:
    """The resolver of a host's runs, made once."""

    def __init__(
        self, allowed: Allowlist, look_up: Resolve = resolve, closed: Callable[[], set[int]] | None = None
    ) -> None:
        self._allowed = allowed
        self._look_up = look_up
        self._closed = closed or own_ports

    def find(self, destination: Destination) -> list[Address]:
        """Return the addresses that may be connected to, best first; raises NotAllowed, or OSError for an unknown name.

        It may block, for as long as a name server keeps it waiting.
        """
        if not self._allowed.lists(destination):
            raise NotAllowed(destination, "it is not in AGENT_EGRESS_ALLOW")
        literal = read_address(destination.host)
        found = [literal] if literal is not None else self._look_up(destination)
        own = own_addresses()
        good = [address for address in found if self._allowed.allows(address, destination.port, own)]
        if not good:
            raise NotAllowed(destination, "it leads to no public address; list the address itself to allow it")
        if any(_is_here(address, own) for address in good) and destination.port in self._closed():
            raise NotAllowed(destination, "a port of this service is never a way out")
        return good


def own_addresses() -> set[Address]:
    """Return the addresses of this machine's interfaces."""
    entries = [entry for entries in psutil.net_if_addrs().values() for entry in entries]
    internet = [entry for entry in entries if entry.family in (socket.AF_INET, socket.AF_INET6)]
    return {ip_address(entry.address.partition("%")[0]) for entry in internet}


def own_ports() -> set[int]:
    """Return the ports that the service listens on: this process, its starter, and all that these have started."""
    eldest = _eldest(psutil.Process())
    here = Path("/proc/self/ns/net").stat().st_ino
    ports: set[int] = set()
    for process in (eldest, *eldest.children(recursive=True)):
        with contextlib.suppress(psutil.Error, OSError):
            if Path(f"/proc/{process.pid}/ns/net").stat().st_ino != here:
                continue  # an agent, on the loopback of its own sandbox
            connections = process.net_connections("tcp")
            ports |= {connection.laddr.port for connection in connections if connection.status == psutil.CONN_LISTEN}
    return ports


def _eldest(process: psutil.Process) -> psutil.Process:
    """Return the first of its ancestors that runs the same program: `agent-service up` starts its parts."""
    try:
        parent = process.parent()
        return _eldest(parent) if parent is not None and parent.exe() == process.exe() else process
    except psutil.Error:
        return process


def _is_here(address: Address, own: set[Address]) -> bool:
    real = unwrapped(address)
    return real.is_loopback or real.is_unspecified or real in own
