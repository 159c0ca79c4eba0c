"""What became of the parked CLIs: whoever lends them counts here, and the host's metrics read it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class WarmTally:
    """One host's, since its start."""

    hits: int = 0
    """Runs that got a parked CLI."""
    misses: int = 0
    """Runs that had to start one."""
    replacements: int = 0
    """Parked CLIs that were ended without a run, e.g. because the commit they were started on is old."""
