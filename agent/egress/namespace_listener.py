"""A program by itself: listens on loopback in another process's network namespace, and hands the socket over.

`python -I -S inside.py PID PORT`, with a unix socket for its stdin. A socket belongs to the namespace that it was made
in, whoever holds it: who gets it from here serves a sandbox's loopback without being in it. Needs Python alone.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import sys
import time

NS_GET_USERNS = 0xB701
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
LOOPBACK_SECONDS = 10.0


def main() -> None:
    """Needs to be the user who made the namespace, or root; raises OSError."""
    pid, port = int(sys.argv[1]), int(sys.argv[2])
    network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        # the one that owns it: there an ordinary user, who made it, may do what root may
        _enter(fcntl.ioctl(network, NS_GET_USERNS), CLONE_NEWUSER)
    except OSError as error:
        if error.errno != errno.EINVAL:  # this very one
            raise
    _enter(network, CLONE_NEWNET)
    listener = _listen(port)
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as door:
        socket.send_fds(door, [b"."], [listener.fileno()])


def _enter(namespace: int, kind: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)  # os.setns comes with Python 3.12
    if libc.setns(namespace, kind) != 0:
        raise OSError(ctypes.get_errno(), "setns failed")


def _listen(port: int) -> socket.socket:
    deadline = time.monotonic() + LOOPBACK_SECONDS
    while True:
        try:
            return socket.create_server(("127.0.0.1", port), backlog=128)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL or time.monotonic() > deadline:
                raise
            time.sleep(0.001)  # the new namespace has no loopback yet


if __name__ == "__main__":
    main()
