"""One journal entry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

GAP = "gap"
"""The type of the entry in place of lost ones; its body is `{"dropped": NUMBER}`."""

LAST = "ended"
"""The type of a run's last event. It is written however much the run has written before."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of a run as the journal returns it; `seq` counts 1, 2, 3... in its run."""

    seq: int
    at: datetime
    type: str
    body: str
