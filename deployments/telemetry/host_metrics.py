"""What a host is like at this moment, read when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from agent.runtime import Runtime
from deployments.holds.disk_space import DiskSpace
from deployments.holds.pause import PauseSwitch
from deployments.holds.provider_hold import ProviderHold
from deployments.pools import POOLS

_PREFIX = "agent_service_"


class HostParts(Protocol):
    """What of a host is told."""

    runtime: Runtime
    hold: ProviderHold
    disk: DiskSpace

    @property
    def switch(self) -> PauseSwitch:
        """The kill switch."""

    @property
    def busy(self) -> bool:
        """Whether an agent that is asked for now would have to wait."""

    async def waiting_jobs(self) -> int:
        """How many runs are due and wait; raises PrefectUnavailable."""


class HostState(Collector):
    """A collector that asks nobody but the host's own memory, and the disk."""

    def __init__(self, host: HostParts) -> None:
        self._host = host

    def collect(self) -> Iterable[Metric]:
        """All of it."""
        yield from self._capacity()
        yield from self._holding()
        yield from self._disk()
        yield from self._warm()
        yield self._sandbox()

    def _capacity(self) -> Iterator[Metric]:
        slots = self._host.runtime.slots
        yield _gauge("slots", "Agents that may be at work at once on this host.", slots.capacity)
        yield _gauge("slots_free", "Slots that nobody has.", slots.free)
        yield _gauge("busy", "1 if an agent that is asked for now would have to wait.", self._host.busy)

    def _holding(self) -> Iterator[Metric]:
        until = self._host.hold.until
        yield _gauge("jobs_held", "1 while jobs wait because the model's provider refuses everybody.", bool(until))
        if until is not None:
            yield _gauge("jobs_held_until_timestamp_seconds", "When they are tried again.", until.timestamp())
        paused = GaugeMetricFamily(f"{_PREFIX}paused", "1 while an operator has paused the work pool.", labels=["pool"])
        for pool in POOLS:
            paused.add_metric([pool], pool in self._host.switch.paused)
        yield paused

    def _disk(self) -> Iterator[Metric]:
        disk = self._host.disk
        yield _gauge("disk_free_bytes", "Room under STATE_DIR.", disk.free)
        yield _gauge("disk_min_free_bytes", "With less than this no work is taken.", disk.min_free_bytes)
        yield _gauge("disk_low", "1 while no work is taken because there is too little room.", disk.is_low)

    def _warm(self) -> Iterator[Metric]:
        warm = self._host.runtime.warm
        yield _gauge("warm_parked", "Processes of the CLI that have started and wait for a run.", warm.parked)
        starts = CounterMetricFamily(
            f"{_PREFIX}warm_starts", "Runs by whether a parked process could be theirs.", labels=["result"]
        )
        starts.add_metric(["hit"], warm.tally.hits)
        starts.add_metric(["miss"], warm.tally.misses)
        yield starts
        text = "Parked processes that were ended without a run."
        yield CounterMetricFamily(f"{_PREFIX}warm_replacements", text, value=warm.tally.replacements)

    def _sandbox(self) -> Metric:
        enclosure = self._host.runtime.enclosure
        version = enclosure.cgroups.version
        return InfoMetricFamily(
            f"{_PREFIX}sandbox",
            "How agents are held: kind bwrap or none, and the version of control groups that bound them, or none.",
            {
                "kind": enclosure.sandbox.kind,
                "bwrap": enclosure.sandbox.version or "",
                "cgroup": str(version) if version is not None else "none",
            },
        )


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{_PREFIX}{name}", text, value=float(value))
