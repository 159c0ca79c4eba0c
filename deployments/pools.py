"""The work pools and queues of the service."""

from __future__ import annotations

from typing import Literal

AGENTS, TRIAGE = "agents", "triage"

POOLS = (AGENTS, TRIAGE)
"""The pool that agent runs wait in, then the one for triages."""

Priority = Literal["high", "default", "low"]
QUEUES: dict[Priority, int] = {"high": 1, "default": 2, "low": 3}
"""The work queues of the agents' pool, and their priorities: Prefect gives out 1 before 2."""
