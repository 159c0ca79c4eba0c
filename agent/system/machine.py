"""The memory and the processors that this process may use: the machine's, or less by a control group's limit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from agent.domain.values import Frozen

CGROUP_ROOT = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
_UNLIMITED = 1 << 60  # version 1 writes the largest number of pages


class Machine(Frozen):
    """What there is at this moment; `read_machine` makes it."""

    memory_bytes: int
    available_bytes: int
    processors: float
    memory_limited: bool = False
    """True if a control group's limit, e.g. of a container, is below the machine's memory."""

    processors_limited: bool = False
    """True if a control group's quota is below the machine's processors."""


def read_machine(root: Path = CGROUP_ROOT, membership: Path = _MEMBERSHIP) -> Machine:
    """Read the smaller of the machine and of each control group that this process is in, of version 1 or 2."""
    memory = psutil.virtual_memory()
    total, available = memory.total, memory.available
    for limit, used in _memory_limits(root, membership):
        total, available = min(total, limit), min(available, max(0, limit - used))
    cores = float(len(os.sched_getaffinity(0)))
    processors = min([cores, *_quotas(root, membership)])
    return Machine(
        memory_bytes=total,
        available_bytes=available,
        processors=processors,
        memory_limited=total < memory.total,
        processors_limited=processors < cores,
    )


def count_memory_kills(root: Path = CGROUP_ROOT, membership: Path = _MEMBERSHIP) -> int:
    """Return how many processes the kernel has killed for want of memory in our control groups."""
    kills = [0]
    for directory in _directories("memory", root, membership):
        for name in ("memory.events", "memory.oom_control"):
            kills.append(_fields(directory / name).get("oom_kill", 0))
    return max(kills)


def _memory_limits(root: Path, membership: Path) -> Iterator[tuple[int, int]]:
    """Yield limit and use of each group. Pages of files that nobody has open are counted as use, but can be freed."""
    for directory in _directories("memory", root, membership):
        stat = _fields(directory / "memory.stat")
        cached = stat.get("total_inactive_file", stat.get("inactive_file", 0))
        for limit_name, use_name in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            limit, used = _number(directory / limit_name), _number(directory / use_name)
            if limit is not None and limit < _UNLIMITED:
                yield limit, max(0, (used or 0) - cached)


def _quotas(root: Path, membership: Path) -> Iterator[float]:
    for directory in _directories("cpu", root, membership):
        quota, _, period = _read(directory / "cpu.max").partition(" ")
        if not quota:
            quota, period = _read(directory / "cpu.cfs_quota_us"), _read(directory / "cpu.cfs_period_us")
        if quota.isdecimal() and period.isdecimal() and int(period) > 0:
            yield int(quota) / int(period)


def _directories(controller: str, root: Path, membership: Path) -> Iterator[Path]:
    """Yield this process's group and all above it, for both versions.

    In a container the path is often that of the machine, and its own group is mounted as the root.
    """
    for line in _read(membership).splitlines():
        _, names, path = line.split(":", 2)
        if names and controller not in names.split(","):
            continue
        mount = _mount(root, names, controller)
        place = mount / path.lstrip("/")
        yield from dict.fromkeys(one for one in (place, *place.parents) if one.is_relative_to(mount))


def _mount(root: Path, names: str, controller: str) -> Path:
    if not names:
        return root
    return next((root / name for name in (names, controller) if (root / name).is_dir()), root / names)


def _fields(file: Path) -> dict[str, int]:
    pairs = (line.split() for line in _read(file).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def _number(file: Path) -> int | None:
    text = _read(file)
    return int(text) if text.isdecimal() else None


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
