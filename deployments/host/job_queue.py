from __future__ import annotations

from agent.domain.errors import NotConfigured

DEPLOYMENT = "agent_run/agent-run"
"""The deployment that jobs are runs of."""


def _not_registered() -> NotConfigured:
    return NotConfigured(f"{DEPLOYMENT} is not registered in Prefect; start the service again to register it")
