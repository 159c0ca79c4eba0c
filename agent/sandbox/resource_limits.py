"""Limits of one run: memory, processes, open files, file size; and which of them are enforced here."""

from __future__ import annotations

import shutil

from pydantic import Field

from agent.domain.values import Frozen

MB = 1024 * 1024
PRLIMIT = shutil.which("prlimit", path="/usr/bin:/bin")


class ResourceLimits(Frozen):
    """Bounds of one run; None: not bounded."""

    memory_mb: int | None = Field(default=None, ge=256, description="Memory of the whole run.")
    processes: int | None = Field(default=None, ge=64, description="Processes and threads of the whole run.")
    open_files: int | None = Field(default=None, ge=128, description="Open files of each process.")
    file_mb: int | None = Field(default=None, ge=1, description="The largest file that can be written.")


class LimitStatus(Frozen):
    """The state of one bound on this machine."""

    name: str
    value: int | None
    held: bool
    by: str


def limited(limits: ResourceLimits, argv: list[str], *, memory_by_cgroup: bool, own_user_namespace: bool) -> list[str]:
    """`argv` under the bounds that a process can carry by itself.

    RLIMIT_AS is out of the question: the CLI reserves gigabytes of addresses that it never touches. RLIMIT_DATA
    counts what is private and writable, and the pinned CLI lives well with 1 GB of it. RLIMIT_NPROC counts all
    processes of the user, except in a user namespace of its own, where it counts the sandbox's (Linux 5.14).
    """
    if PRLIMIT is None:
        return argv
    bounds = ["--core=0:0"]
    if limits.open_files is not None:
        bounds.append(f"--nofile={limits.open_files}:{limits.open_files}")
    if limits.file_mb is not None:
        bounds.append(f"--fsize={limits.file_mb * MB}:{limits.file_mb * MB}")
    if limits.memory_mb is not None and not memory_by_cgroup:
        bounds.append(f"--data={limits.memory_mb * MB}:{limits.memory_mb * MB}")
    if limits.processes is not None and own_user_namespace:
        bounds.append(f"--nproc={limits.processes}:{limits.processes}")
    return [PRLIMIT, *bounds, "--", *argv]


def holds(limits: ResourceLimits, *, cgroup: bool, own_user_namespace: bool, root: bool) -> list[LimitStatus]:
    """Return each bound, if it holds, and what holds it."""
    return [
        _memory(limits.memory_mb, cgroup),
        _processes(limits.processes, cgroup, own_user_namespace and not root),
        _each("open files", limits.open_files, "RLIMIT_NOFILE, of each process"),
        _each("file size", limits.file_mb, "RLIMIT_FSIZE, of each file"),
    ]


def _memory(value: int | None, cgroup: bool) -> LimitStatus:
    by = "its cgroup" if cgroup else "RLIMIT_DATA, of each process; their sum is not bounded without a cgroup"
    return _each("memory", value, by)


def _processes(value: int | None, cgroup: bool, counted_by_user: bool) -> LimitStatus:
    if cgroup:
        return _each("processes", value, "its cgroup")
    if counted_by_user:
        return _each("processes", value, "RLIMIT_NPROC in a user namespace of its own")
    reason = "root is exempt from RLIMIT_NPROC: give the service a cgroup, or run it as an ordinary user"
    return LimitStatus(name="processes", value=value, held=False, by=reason)


def _each(name: str, value: int | None, by: str) -> LimitStatus:
    return LimitStatus(name=name, value=value, held=value is not None, by=by if value is not None else "not set")
