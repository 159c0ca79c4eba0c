"""The names of the service in Prefect: work pools and queues, and the version of a retired deployment."""

from __future__ import annotations

from typing import Literal

AGENTS, TRIAGE = "agents", "triage"

POOLS = (AGENTS, TRIAGE)
"""The pool that agent runs wait in, then the one for triages."""

RETIRED = "retired"
"""The version of a deployment that is no longer in the register."""

Priority = Literal["high", "default", "low"]
QUEUES: dict[Priority, int] = {"high": 1, "default": 2, "low": 3}
"""The work queues of the agents' pool, and their priorities: Prefect gives out 1 before 2."""
