"""Faults on purpose: parts killed with -9, a remote that does not answer, a disk without space."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from demo.service import Stage

HOST = "api"
PREFECT = "deployments.standalone.prefect_server"
BACK_SECONDS = 600.0  # a bound for what hangs, not for what is slow
DISK_NAME = "agent-service-chaos"
DISK_MB = 600


class SlowRemote:
    """What git takes for ssh: it serves repositories of this machine, and waits while it is blocked."""

    def __init__(self, directory: Path) -> None:
        self._blocked = directory / "blocked"
        self.program = directory / "ssh"
        self.program.write_text(
            "#!/bin/sh\n"
            f"while [ -e {self._blocked} ]; do sleep 0.1; done\n"
            "for command; do :; done\n"
            'exec sh -c "$command"\n'
        )
        self.program.chmod(0o700)

    @contextmanager
    def blocked(self) -> Iterator[None]:
        """Nobody is answered while this is open."""
        self._blocked.touch()
        try:
            yield
        finally:
            self._blocked.unlink(missing_ok=True)


class SmallDisk:
    """A file system of its own for the service's state, where this user may mount one."""

    def __init__(self, place: Path) -> None:
        place.mkdir(parents=True, exist_ok=True)
        self._place = place
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=700", DISK_NAME, str(place)]
        self.mounted = os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0

    @contextmanager
    def full(self) -> Iterator[None]:
        """Not a byte is free while this is open."""
        filler = self._place / "filler"
        try:
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                os.posix_fallocate(file.fileno(), 0, max(shutil.disk_usage(self._place).free - 65_536, 1))
                while file.write(b"\0" * 4096) == 4096:
                    continue
            yield
        finally:
            filler.unlink(missing_ok=True)

    def unmount(self) -> None:
        """Give the place back; whoever still has a file open there keeps it."""
        if self.mounted:
            subprocess.run(["umount", "--lazy", str(self._place)], check=False, capture_output=True)


async def wait_until_whole(stage: Stage) -> None:
    """Return once the host and Prefect both answer; TimeoutError if they do not come back."""
    until = time.monotonic() + BACK_SECONDS
    async with httpx.AsyncClient(timeout=10) as client:
        while time.monotonic() < until:
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get(f"{stage.url}/ready")).status_code == 200:
                    return
            if stage.process.poll() is not None:
                raise RuntimeError(f"the service has ended; it said last:\n{stage.log()[-2000:]}")
            await asyncio.sleep(0.05)
    raise TimeoutError(f"the service is not back after {BACK_SECONDS:.0f} s:\n{stage.log()[-2000:]}")


def find_part(stage: Stage, module: str) -> psutil.Process | None:
    """The process of the service that runs `module`; None while there is none."""
    return find_child(stage.process.pid, module)


def find_child(pid: int, module: str) -> psutil.Process | None:
    """The child of that process that runs `module`; None while there is none."""
    for process in psutil.Process(pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if module in process.cmdline():
                return process
    return None
