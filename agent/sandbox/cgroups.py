"""Creates one control group per run where the kernel allows it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Literal

import psutil

from agent.domain.values import Frozen
from agent.sandbox.resource_limits import MB, ResourceLimits

ROOT = Path("/sys/fs/cgroup")
HOST = "agent-host"
RUN = "agent-run-"
CONTROLLERS = ("memory", "pids")
OOM_SCORE = 500


class Cgroup(Frozen):
    """One run's control group: a directory of version 2, or one for each controller of version 1."""

    directories: tuple[Path, ...]

    def kill(self) -> None:
        """Kill every process in it; in version 2 at one stroke, which no fork outruns."""
        for directory in self.directories:
            if (directory / "cgroup.kill").exists():
                _write(directory / "cgroup.kill", "1")
            else:
                _kill_one_by_one(directory)

    def remove(self, deadline_seconds: float = 2.0) -> bool:
        """Kill what is left, and take the group away; False if something still lives in it at the deadline."""
        self.kill()
        deadline = time.monotonic() + deadline_seconds
        while left := [directory for directory in self.directories if not _removed(directory)]:
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)
            self.kill()
        return not left


class Cgroups(Frozen):
    """Where groups can be made, or why they cannot."""

    version: Literal[1, 2] | None
    reason: str
    parents: tuple[Path, ...] = ()

    def make(self, run_id: str, limits: ResourceLimits) -> Cgroup:
        """Make a group with these bounds; what an earlier host of the same name left in it is killed."""
        group = Cgroup(directories=tuple(parent / f"{RUN}{run_id}" for parent in self.parents))
        for directory in group.directories:
            directory.mkdir(exist_ok=True)
            _bound(directory, limits)
        group.kill()
        return group

    def clear(self, prefix: str) -> None:
        """Kill what is left in groups of runs whose ids begin so, and take those away."""
        for directory in [path for parent in self.parents for path in parent.glob(f"{RUN}{prefix}*")]:
            Cgroup(directories=(directory,)).remove()


def find_cgroups() -> Cgroups:
    """Look for a place of our own and try it; in version 2 this process moves into a leaf of it."""
    try:
        mine = dict(_memberships())
        if all(controller in mine for controller in CONTROLLERS):
            found = Cgroups(version=1, reason="control groups, version 1", parents=_version_1(mine))
        else:
            found = Cgroups(version=2, reason="control groups, version 2", parents=(_version_2(mine[""]),))
        found.make(f"trial-{os.getpid()}", ResourceLimits(memory_mb=1024, processes=64)).remove()
    except (OSError, KeyError, ValueError) as error:
        return Cgroups(version=None, reason=f"no control group of our own ({error})")
    return found


def in_cgroup(argv: list[str], group: Cgroup | None = None) -> list[str]:
    """`argv`, started inside the group, and first in the kernel's eyes when memory runs out."""
    files = [str(_entry(directory)) for directory in group.directories] if group else []
    steps = [f"echo {OOM_SCORE} 2>/dev/null > /proc/self/oom_score_adj"]
    steps += [f'{{ echo 0 > "${number}" || exit 71; }}' for number in range(1, len(files) + 1)]
    script = "; ".join([*steps, f"shift {len(files)}", 'exec "$@"'])
    return ["/bin/sh", "-c", script, "sh", *files, *argv]


def _entry(directory: Path) -> Path:
    """Return the file by which a single thread enters.

    The kernel then has nothing to wait for; at `cgroup.procs`, which is all that version 2 has, it stops every fork
    of the machine for the time of an RCU grace period, tens of milliseconds under load.
    """
    tasks = directory / "tasks"
    return tasks if tasks.exists() else directory / "cgroup.procs"


def _memberships() -> list[tuple[str, Path]]:
    """Each controller with our own directory; the unified hierarchy has no name."""
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    return [(name, Path(path.lstrip("/"))) for _, names, path in lines for name in names.split(",")]


def _version_1(mine: dict[str, Path]) -> tuple[Path, ...]:
    return tuple(ROOT / controller / mine[controller] for controller in CONTROLLERS)


def _version_2(mine: Path) -> Path:
    """Our directory, with controllers handed down; for that no process may stay in it, and all must be ours."""
    base = ROOT / mine
    if base.name == HOST:
        base = base.parent
    missing = set(CONTROLLERS) - set((base / "cgroup.controllers").read_text().split())
    if missing:
        raise ValueError(f"the kernel keeps {' and '.join(sorted(missing))} from us")
    _move_down(base)
    _write(base / "cgroup.subtree_control", " ".join(f"+{controller}" for controller in CONTROLLERS))
    return base


def _move_down(base: Path) -> None:
    residents = set(map(int, (base / "cgroup.procs").read_text().split()))
    ours = {os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))}
    if residents - ours:
        raise ValueError("others live in our control group")
    (base / HOST).mkdir(exist_ok=True)
    for pid in sorted(residents):
        _write(base / HOST / "cgroup.procs", str(pid))


def _bound(directory: Path, limits: ResourceLimits) -> None:
    """Each file exists in one version and for one controller; swap would only delay the end."""
    memory = "max" if limits.memory_mb is None else str(limits.memory_mb * MB)
    wanted = {
        "memory.max": memory,
        "memory.swap.max": "max" if limits.memory_mb is None else "0",
        "memory.limit_in_bytes": "-1" if limits.memory_mb is None else memory,
        "pids.max": "max" if limits.processes is None else str(limits.processes),
    }
    for name, value in wanted.items():
        if (directory / name).exists():
            _write(directory / name, value)


def _kill_one_by_one(directory: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        for pid in map(int, (directory / "cgroup.procs").read_text().split()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _write(file: Path, text: str) -> None:
    with file.open("w") as opened:
        opened.write(text)


def _removed(directory: Path) -> bool:
    try:
        directory.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
