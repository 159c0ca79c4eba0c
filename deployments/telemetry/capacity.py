"""Capacity: what a host can take on now, in one frozen reading for /health, /metrics and admission."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from deployments.holds.provider_hold import ActiveHold


@dataclass(frozen=True)
class WarmCounts:
    """The warm pool: its processes now, and its counters since the host started."""

    processes: int
    hits: int
    misses: int
    replacements: int


@dataclass(frozen=True)
class Isolation:
    """The isolation of this host's agents: `kind` is bwrap or none; versions are None where the thing is missing."""

    kind: str
    bubblewrap_version: str | None
    cgroup_version: int | None


@dataclass(frozen=True)
class HostCapacity:
    """One reading, made by `Host.capacity`. It costs no call to Prefect or to the store."""

    slots: int
    free: int
    waiting: int
    is_busy: bool
    held_until: datetime | None
    held_reason: str
    paused: frozenset[str]
    disk_free_bytes: int
    disk_min_free_bytes: int
    is_disk_low: bool
    warm: WarmCounts
    watches: Mapping[str, float]
    """Seconds since the last good look of each watch of Prefect and the store, by its name."""
    isolation: Isolation
    provider_hold: ActiveHold | None = None
    """The hold of all jobs or of one model's, for /health."""
