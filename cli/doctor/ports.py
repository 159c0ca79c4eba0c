"""The users of this machine's ports."""

from __future__ import annotations

import socket

import psutil

from deployments.standalone.prefect_server import PortInUse, listen


def is_free(host: str, port: int) -> bool:
    """True if this process could listen there. Raises CannotListen if none could."""
    try:
        listen(host, port).close()
    except PortInUse:
        return False
    return True


def listener(port: int) -> str:
    """Return the process that listens on `port`, as far as this user may see it."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError):
        return "another program"
    for one in connections:
        if one.laddr and one.laddr.port == port and one.status == psutil.CONN_LISTEN and one.pid:
            try:
                return f"{psutil.Process(one.pid).name()} (process {one.pid})"
            except psutil.Error:
                break
    return "another program"


def is_loopback(host: str) -> bool:
    """True if only this machine can reach `host`."""
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return False
    return all(str(address[0]).startswith("127.") or address[0] == "::1" for *_, address in found)
