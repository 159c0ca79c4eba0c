"""Exits when the parent process is gone."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable


def watch_parent(on_gone: Callable[[], None]) -> None:
    """Call `on_gone` in a thread once the parent process has ended, also after SIGKILL."""
    # demo/parent_watch.py is a copy: demo imports nothing of ours
    parent = os.pidfd_open(os.getppid())

    def wait() -> None:
        select.select([parent], [], [])
        os.close(parent)
        on_gone()

    threading.Thread(target=wait, name="parent watch", daemon=True).start()
