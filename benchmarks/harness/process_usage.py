"""CPU and memory of a service's processes."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import time
from types import TracebackType
from typing import Self

import psutil

from benchmarks.report.figures import Figure
from demo.service import Stage

IDLE_SECONDS = 10.0
LOOK_SECONDS = 0.02
PARTS = {"api": "the host", "deployments.standalone.prefect_server": "Prefect's server"}


def parts_at_rest(stage: Stage) -> list[Figure]:
    """Memory and CPU of each part of a service that nobody asks for anything."""
    processes = {name: found for name, found in _parts(stage).items() if found}
    before = {name: _seconds(found) for name, found in processes.items()}
    time.sleep(IDLE_SECONDS)
    figures = []
    for name, found in processes.items():
        share = 100 * (_seconds(found) - before[name]) / IDLE_SECONDS / len(found)
        each = f"{name}, at rest" if len(found) == 1 else f"{name}, at rest, each of {len(found)}"
        figures.append(Figure(name=f"{each}: memory", values=[_pss_mb(one) for one in found], unit="MB"))
        figures.append(Figure(name=f"{each}: CPU", values=[share], unit="% of a core"))
    return figures


def cpu_seconds(stage: Stage) -> float:
    """All CPU that the service has used, with what it started and has ended."""
    total = 0.0
    for process in _family(stage.process.pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def own_children_seconds() -> float:
    """All CPU of the processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Peak:
    """The most memory that CLIs below a process take while this is open, in `mb`: that of the largest of them."""

    def __init__(self, pid: int, without: int | None = None) -> None:
        self._pid = pid
        self._without = without
        self.mb = 0.0

    async def __aenter__(self) -> Self:
        self._looking = asyncio.create_task(self._look())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._looking.cancel()

    async def _look(self) -> None:
        while True:
            self.mb = max(self.mb, max(map(_rss_mb, self._clis()), default=0.0))
            await asyncio.sleep(LOOK_SECONDS)

    def _clis(self) -> list[psutil.Process]:
        return [one for one in _family(self._pid, self._without) if _name(one) == "claude"]


def _parts(stage: Stage) -> dict[str, list[psutil.Process]]:
    parts: dict[str, list[psutil.Process]] = {name: [] for name in ("the supervisor", *PARTS.values(), "a parked CLI")}
    parts["the supervisor"].append(psutil.Process(stage.process.pid))
    for process in _family(stage.process.pid)[1:]:
        with contextlib.suppress(psutil.NoSuchProcess):
            line = " ".join(process.cmdline())
            if process.name() == "claude":
                parts["a parked CLI"].append(process)
            for module, name in PARTS.items():
                if f"-m {module}" in line:
                    parts[name].append(process)
    return parts


def _family(pid: int, without: int | None = None) -> list[psutil.Process]:
    root = psutil.Process(pid)
    left_out = set() if without is None else {one.pid for one in _family(without)}
    return [one for one in (root, *root.children(recursive=True)) if one.pid not in left_out]


def _seconds(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def _rss_mb(process: psutil.Process) -> float:
    try:
        return process.memory_info().rss / 1e6
    except psutil.NoSuchProcess:
        return 0.0


def _pss_mb(process: psutil.Process) -> float:
    """Its share of what it has in memory: pages that several have count in parts."""
    return process.memory_full_info().pss / 1e6
