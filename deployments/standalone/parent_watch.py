"""Notices when the process that started this one is gone."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable


def watch_parent(on_gone: Callable[[], None]) -> None:
    """Call `on_gone` in a thread of its own once the parent has ended, however that happened."""
    parent = os.pidfd_open(os.getppid())

    def wait() -> None:
        select.select([parent], [], [])
        os.close(parent)
        on_gone()

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
