"""Standalone program: bounds what a sandbox may take of limits that the kernel counts for each user of the machine.

The kernel counts inotify instances and watches for a user, whatever sandbox its processes are in: 128 instances of one
sandbox leave none to the others. It also counts them in each user namespace, so a smaller limit there binds the
sandbox alone. It is set from outside: the sandbox has no right to, and needs none. Needs Python alone.

    python -I -S userns_limits.py PID NAME=NUMBER...
"""

import ctypes
import os
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000


def main(pid: str, *limits: str) -> None:
    """Enter the user namespace of the process, and write the limits there."""
    namespace = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY)
    # nothing is executed after this: an ordinary user would lose the rights that it has in the namespace
    if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWUSER) != 0:
        sys.exit(os.strerror(ctypes.get_errno()))
    for limit in limits:
        name, _, number = limit.partition("=")
        Path("/proc/sys/user", name).write_text(number)


if __name__ == "__main__":
    main(*sys.argv[1:])
