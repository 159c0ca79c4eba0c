"""Gives back the disk that a run took which was ended for it: what can be kept as its work stays, the rest goes."""

from __future__ import annotations

import os
from pathlib import Path

from agent.files import remove

# The clock of a file system stands still between two ticks.
TICK_SECONDS = 0.02


def relieve(checkout: Path, began: float, kept_bytes: int) -> list[str]:
    """Remove the largest of the files changed since `began`, until `kept_bytes` of them are left; notes on it.

    Where that does not help, or the tree cannot be looked through, the whole checkout goes. The time is the one that
    the kernel notes for each change, which no agent can set.
    """
    unseen: list[OSError] = []
    changed = _changed(checkout, began - TICK_SECONDS, unseen)
    left = sum(size for size, _ in changed)
    gone = 0
    for size, path in sorted(changed, reverse=True):
        if left <= kept_bytes:
            break
        if ".git" not in path.relative_to(checkout).parts:
            path.unlink(missing_ok=True)
            left -= size
            gone += 1
    if unseen or left > kept_bytes:
        remove(checkout)
        return ["the run was ended for the disk it took, and nothing of its checkout is kept"]
    return [f"the run was ended for the disk it took: its {gone} largest files were removed"] if gone else []


def _changed(checkout: Path, since: float, unseen: list[OSError]) -> list[tuple[int, Path]]:
    found = []
    for parent, _, names in os.walk(checkout, onerror=unseen.append):
        for name in names:
            path = Path(parent, name)
            try:
                facts = path.lstat()
            except OSError as error:
                unseen.append(error)
                continue
            if facts.st_ctime >= since:
                found.append((facts.st_blocks * 512, path))
    return found
