"""Finds and kills every process of a run without a sandbox, by cookie, marker and ancestry.

Best effort: the cookie is a variable, which a process can clear; the mark is a resource limit that nobody uses and
that only root can raise again; descent is lost when a parent dies. In a sandbox the kernel does all of this.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import resource
import signal
import time
import zlib
from collections.abc import Collection, Iterable
from pathlib import Path

from agent.sandbox.resource_limits import PRLIMIT
from agent.system.procfs import Process, find_process, list_processes, read, with_descendants

COOKIE = "AGENT_RUN_COOKIE"
# Of realtime processes, in microseconds: 13 days and more never strike, and `unlimited` is what others have.
LOWEST_MARK = 1 << 40
PR_SET_CHILD_SUBREAPER = 36
QUIET_SCANS = 2


def become_subreaper() -> bool:
    """Let orphans of our descendants come to us instead of to init; False where the kernel cannot."""
    try:
        done: int = ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    except (OSError, AttributeError):
        return False
    return done == 0


def with_marker(cookie: str, argv: list[str]) -> list[str]:
    """`argv` with the run's mark on it; its environment has to carry the cookie besides."""
    if PRLIMIT is None or resource.getrlimit(resource.RLIMIT_RTTIME)[1] != resource.RLIM_INFINITY:
        return argv
    return [PRLIMIT, f"--rttime={_mark(cookie)}:{_mark(cookie)}", "--", *argv]


async def kill_run_processes(cookie: str, deadline_seconds: float = 5.0, *, managed: Collection[int] = ()) -> list[int]:
    """Kill all that carry the cookie until none is left in two looks; gives back what outlived the deadline.

    `managed` are children that someone else waits for (asyncio does for its own): they are killed, not reaped.
    """
    return await asyncio.to_thread(_sweep, cookie, False, deadline_seconds, frozenset(managed))


async def kill_leftover_processes(prefix: str, deadline_seconds: float = 5.0) -> list[int]:
    """Kill what an earlier host left behind, whatever the run; only for cookies that no living host uses."""
    return await asyncio.to_thread(_sweep, prefix, True, deadline_seconds, frozenset())


def _sweep(cookie: str, prefix: bool, deadline_seconds: float, managed: frozenset[int]) -> list[int]:
    """Kill and look again without a pause: a chain of forks has to be outrun, not waited for."""
    deadline = time.monotonic() + deadline_seconds
    seen: dict[int, int] = {}
    quiet = 0
    while quiet < QUIET_SCANS and time.monotonic() < deadline:
        found = _find(cookie, prefix, seen)
        _kill(found.values())
        seen |= {process.pid: process.started for process in found.values()}
        just_ended = [zombie for zombie in _zombies(managed) if _is_of_run(zombie, cookie, seen)]
        for zombie in just_ended:
            _reap(zombie.pid)
        if just_ended and not prefix:
            _chase(cookie)
        quiet = 0 if found or just_ended else quiet + 1
    return [] if quiet >= QUIET_SCANS else sorted(_find(cookie, prefix, seen))


def _chase(cookie: str) -> None:
    """Hit a chain of forks whose every link is gone before a look at /proc is over: its next pids are known."""
    mark = _mark(cookie)
    for _ in range(200):
        newest = int(Path("/proc/loadavg").read_text().split()[-1])
        for pid in range(newest, newest + 32):
            if _limit(pid) == mark:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)


def _find(cookie: str, prefix: bool, seen: dict[int, int] | None = None) -> dict[int, Process]:
    """Return the living ones with a cookie or seen before, and their descendants; never us or our ancestors."""
    processes = {pid: process for pid, process in list_processes().items() if process.state not in "ZX"}
    spared = _ancestors(processes)
    roots = {
        pid
        for pid, process in processes.items()
        if pid not in spared
        and ((seen or {}).get(pid) == process.started or _carries(pid, cookie, prefix) or _is_marked(process, cookie))
    }
    return {pid: processes[pid] for pid in with_descendants(roots, processes) - spared}


def _ancestors(processes: dict[int, Process]) -> set[int]:
    """Return this process and all above it: it may itself run inside an agent."""
    spared, pid = {0, 1}, os.getpid()
    while pid not in spared:
        spared.add(pid)
        pid = processes[pid].parent if pid in processes else 0
    return spared


def _kill(processes: Iterable[Process]) -> None:
    """Groups first: the kernel signals a whole group at once, which no fork in it outruns."""
    here, ours = os.getsid(0), os.getpgrp()
    processes = list(processes)
    for group in {process.group for process in processes if process.session != here and process.group != ours}:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    for process in processes:
        _kill_one(process)


def _kill_one(process: Process) -> None:
    """Through a pidfd, so that a pid used again in the meantime is not hit."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        return
    try:
        again = find_process(process.pid)
        if again is not None and again.started == process.started:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
    finally:
        os.close(descriptor)


def _zombies(managed: Collection[int]) -> list[Process]:
    """Children of ours that ended and that nobody else is going to bury."""
    here = os.getpid()
    return [
        process
        for process in list_processes().values()
        if process.is_zombie and process.parent == here and process.pid not in managed
    ]


def _is_of_run(zombie: Process, cookie: str, seen: dict[int, int]) -> bool:
    return seen.get(zombie.pid) == zombie.started or _limit(zombie.pid) == _mark(cookie)


def _reap(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False


def _mark(cookie: str) -> int:
    return LOWEST_MARK + zlib.crc32(cookie.encode())


def _is_marked(process: Process, cookie: str) -> bool:
    """By this run; or by somebody who lowered the mark to hide, and has come to us as an orphan."""
    limit = _limit(process.pid)
    return limit == _mark(cookie) or (0 <= limit < LOWEST_MARK and process.parent == os.getpid())


def _limit(pid: int) -> int:
    """Return the limit that carries the mark; -1: none, or not ours to read."""
    try:
        return resource.prlimit(pid, resource.RLIMIT_RTTIME)[1]
    except OSError:
        return -1


def _carries(pid: int, cookie: str, prefix: bool) -> bool:
    environment = b"\0" + read(pid, "environ")
    return f"\0{COOKIE}={cookie}{'' if prefix else chr(0)}".encode() in environment
