"""Commits that the remote no longer has (force push, deleted branch), and since when."""

from __future__ import annotations

import json
import time
from pathlib import Path

from agent.git.refs import Refs
from agent.system.files import write


class LostCommits:
    """A file per mirror with the commits that refs pointed to before; earlier runs may still read them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def since(self) -> dict[str, float]:
        """Return when each commit was lost, in seconds since the epoch."""
        try:
            return {str(sha): float(moment) for sha, moment in json.loads(self.path.read_bytes()).items()}
        except (FileNotFoundError, ValueError, AttributeError):
            return {}

    def record(self, before: Refs, after: Refs) -> None:
        """Record the commits that refs pointed to before a fetch and do not any more."""
        if before.lines == after.lines:
            return
        gone = {sha.decode() for sha in before.objects() - after.objects()}
        if gone:
            write(self.path, json.dumps({**dict.fromkeys(gone, time.time()), **self.since()}))

    def forget(self, before: float) -> None:
        """Forget the commits that were lost before that moment."""
        write(self.path, json.dumps({sha: moment for sha, moment in self.since().items() if moment >= before}))
