"""Notices when the process that started this one is gone."""

import os
import select
import stat
import threading
from collections.abc import Callable

STDIN = 0


def watch_parent(on_gone: Callable[[], None]) -> None:
    """Call `on_gone` in a thread once the parent has ended, or has closed the pipe that is our stdin."""
    watched = [os.pidfd_open(os.getppid())]
    if stat.S_ISFIFO(os.fstat(STDIN).st_mode):
        watched.append(STDIN)
    threading.Thread(target=_wait, args=(watched, on_gone), name="parent watch", daemon=True).start()


def _wait(watched: list[int], on_gone: Callable[[], None]) -> None:
    parent, *pipes = watched
    while parent not in (ready := select.select(watched, [], [])[0]):
        if any(os.read(pipe, 4096) == b"" for pipe in ready if pipe in pipes):
            break
    on_gone()
