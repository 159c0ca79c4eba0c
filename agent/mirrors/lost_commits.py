"""Remembers commits that a remote has taken back, by a force push or by deleting a branch, and when."""

from __future__ import annotations

import json
import time
from pathlib import Path

from agent.git.refs import Refs
from agent.system.files import write


class LostCommits:
    """What refs pointed to before, in a file: runs that began then may still read it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def since(self) -> dict[str, float]:
        """When each commit was lost, in seconds since the epoch."""
        try:
            return {str(sha): float(moment) for sha, moment in json.loads(self.path.read_bytes()).items()}
        except (FileNotFoundError, ValueError, AttributeError):
            return {}

    def note(self, before: Refs, after: Refs) -> None:
        """Remember what was there before a fetch and is not any more."""
        gone = set(before.names.values()) - set(after.names.values())
        if gone:
            write(self.path, json.dumps({**dict.fromkeys(gone, time.time()), **self.since()}))

    def forget(self, before: float) -> None:
        """Forget what was lost before that moment."""
        write(self.path, json.dumps({sha: moment for sha, moment in self.since().items() if moment >= before}))
