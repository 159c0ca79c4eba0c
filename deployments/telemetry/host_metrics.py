"""Metrics of the host, collected on scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from deployments.pools import POOLS
from deployments.telemetry.capacity import HostCapacity, Isolation, WarmCounts

_PREFIX = "agent_service_"


class HostState(Collector):
    """A collector of the host's capacity; one per host. A scrape reads memory and the free disk space only."""

    def __init__(self, capacity: Callable[[], HostCapacity]) -> None:
        self._capacity = capacity

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics of one reading."""
        now = self._capacity()
        yield from _slots(now)
        yield from _holds(now)
        yield from _disk(now)
        yield from _warm(now.warm)
        yield _watches(now.watches)
        yield _sandbox(now.isolation)


def _slots(now: HostCapacity) -> Iterator[Metric]:
    yield _gauge("slots", "Agents that may run at once on this host.", now.slots)
    yield _gauge("slots_free", "Slots without a run.", now.free)
    yield _gauge("busy", "1 if an agent that is asked for now would have to wait.", now.is_busy)


def _holds(now: HostCapacity) -> Iterator[Metric]:
    yield _gauge("jobs_held", "1 while jobs wait because the model's provider rejects all calls.", bool(now.held_until))
    if now.held_until is not None:
        yield _gauge("jobs_held_until_timestamp_seconds", "When they are tried again.", now.held_until.timestamp())
    paused = GaugeMetricFamily(f"{_PREFIX}paused", "1 while an operator has paused the work pool.", labels=["pool"])
    for pool in POOLS:
        paused.add_metric([pool], pool in now.paused)
    yield paused


def _disk(now: HostCapacity) -> Iterator[Metric]:
    yield _gauge("disk_free_bytes", "Free space under STATE_DIR.", now.disk_free_bytes)
    yield _gauge("disk_min_free_bytes", "With less than this no work is taken.", now.disk_min_free_bytes)
    yield _gauge("disk_low", "1 while no work is taken because disk space is low.", now.is_disk_low)


def _warm(warm: WarmCounts) -> Iterator[Metric]:
    yield _gauge("warm_parked", "Processes of the CLI that have started and wait for a run.", warm.processes)
    starts = CounterMetricFamily(
        f"{_PREFIX}warm_starts", "Runs by whether a warm process matched them.", labels=["result"]
    )
    starts.add_metric(["hit"], warm.hits)
    starts.add_metric(["miss"], warm.misses)
    yield starts
    text = "Warm processes that were ended without a run."
    yield CounterMetricFamily(f"{_PREFIX}warm_replacements", text, value=warm.replacements)


def _watches(ages: Mapping[str, float]) -> Metric:
    text = "Seconds since the last good look at Prefect or the store; it grows while they are away."
    family = GaugeMetricFamily(f"{_PREFIX}watch_age_seconds", text, labels=["watch"])
    for name, age in sorted(ages.items()):
        family.add_metric([name], age)
    return family


def _sandbox(isolation: Isolation) -> Metric:
    version = isolation.cgroup_version
    return InfoMetricFamily(
        f"{_PREFIX}sandbox",
        "The isolation of agents: kind bwrap or none, and the version of control groups that limit them, or none.",
        {
            "kind": isolation.kind,
            "bwrap": isolation.bubblewrap_version or "",
            "cgroup": str(version) if version is not None else "none",
        },
    )


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{_PREFIX}{name}", text, value=float(value))
