"""Reads what the shell commands of a CLI do: how many of them listen, and how much processor time they took."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import NamedTuple

import psutil

from agent.system.procfs import list_processes, read, with_descendants

_COMMAND_MARK = b"shell-snapshots"
"""In the command line of each shell that the CLI starts for a tool (2.1.330): each leads a session of its own."""


WINDOW_SECONDS = 5.0
BUSY_SHARE = 0.2
"""Of one processor: a build takes most of one, a loop that looks for something each second a hundredth."""


class ShellUse(NamedTuple):
    """The shell commands below a process at one moment."""

    listening: int
    """Return how many of them have a process that listens, i.e. are servers."""
    cpu_seconds: float


class ShellWatch:
    """Judges by repeated looks what the shell commands below a process are; made by the Turn of a run."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._looks: deque[tuple[float, ShellUse]] = deque()

    async def look(self) -> None:
        """Look once more."""
        self.add(time.monotonic(), await asyncio.to_thread(read_shell_use, self._root))

    def add(self, at: float, use: ShellUse) -> None:
        """Take a look into account that was taken at that time."""
        self._looks.append((at, use))
        while at - self._looks[0][0] > WINDOW_SECONDS:
            self._looks.popleft()

    def are_servers(self, commands: int) -> bool:
        """True if so many of them listened at the last two looks: a server does not end by itself."""
        last = [use for _, use in self._looks][-2:]
        return len(last) == 2 and all(use.listening >= commands for use in last)

    @property
    def is_busy(self) -> bool:
        """True if they keep the processor busy, as a build does and what only waits does not."""
        if not self._looks:
            return False
        (since, first), (now, last) = self._looks[0], self._looks[-1]
        return now - since > WINDOW_SECONDS / 2 and last.cpu_seconds - first.cpu_seconds > BUSY_SHARE * (now - since)


def read_shell_use(root: int) -> ShellUse:
    """Return the use of the shell commands that `root` and its descendants have started."""
    processes = list_processes()
    family = with_descendants({root}, processes)
    shells = {pid for pid in family if pid in processes and processes[pid].session == pid and _is_command(pid)}
    of_shells = [pid for pid in family if pid in processes and processes[pid].session in shells]
    listening = {processes[pid].session for pid in of_shells if _listens(pid)}
    return ShellUse(len(listening), sum(map(_cpu_seconds, of_shells)))


def _is_command(pid: int) -> bool:
    return _COMMAND_MARK in read(pid, "cmdline")


def _listens(pid: int) -> bool:
    try:
        return any(one.status == psutil.CONN_LISTEN for one in psutil.Process(pid).net_connections("tcp"))
    except psutil.Error:
        return False


def _cpu_seconds(pid: int) -> float:
    try:
        used = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(used.user + used.system + used.children_user + used.children_system)
