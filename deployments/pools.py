from __future__ import annotations

from typing import Literal

AGENTS, TRIAGE = "agents", "triage"


WORK_POOL = AGENTS


POOLS = (AGENTS, TRIAGE)
"""The work pools, first the one that agents wait in, then the one for triages."""

Priority = Literal["high", "default", "low"]
QUEUES: dict[Priority, int] = {"high": 1, "default": 2, "low": 3}
"""The work queues of the agents' pool, and their priorities: Prefect gives out 1 before 2."""
