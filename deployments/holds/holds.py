"""The reasons of a host to start no agent: the operator's pause, the provider, the disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agent.domain.errors import AgentPaused, DiskFull
from deployments.holds.disk_space import DiskSpace
from deployments.holds.pause import PauseSwitch
from deployments.holds.provider_hold import ProviderHold

Reason = Literal["paused", "provider", "disk"]


@dataclass(frozen=True)
class Holds:
    """The holds of one host, made with it."""

    pause: PauseSwitch
    provider: ProviderHold
    disk: DiskSpace

    def reason(self) -> Reason | None:
        """Return the first reason why an agent asked for now would not start; None if there is none."""
        if self.pause.holds_agents:
            return "paused"
        if self.provider.until is not None:
            return "provider"
        return "disk" if self.disk.is_low else None

    def refuse_waiting_caller(self) -> None:
        """Raise AgentPaused or DiskFull; a provider that rejects calls is left to tell the caller itself."""
        if self.pause.holds_agents:
            raise AgentPaused
        self.refuse_job()

    def refuse_job(self) -> None:
        """Raise DiskFull; all else a job can wait for."""
        if self.disk.is_low:
            raise DiskFull
