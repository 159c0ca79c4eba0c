"""Gives each sandbox its share of limits that the kernel counts for all processes of one user."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from pathlib import Path

from agent.sandbox import userns_limits
from agent.system.procfs import command_of

SHARES = 16
"""Ten sandboxes and the service itself find room at once."""

LEAST_INSTANCES = 12
"""Of the usual 128 of a user; the CLI and a development server take a handful."""

LEAST_WATCHES = 4096

_START_SECONDS = 10.0
_HELPER_SECONDS = 10.0
_LOOK_SECONDS = 0.005

_log = logging.getLogger(__name__)


def shares(inotify: Path = Path("/proc/sys/fs/inotify")) -> list[str]:
    """Return the limits of one sandbox as `name=number`, by what a user of this machine may take; [] if unknown."""
    found = []
    for name, least in (("instances", LEAST_INSTANCES), ("watches", LEAST_WATCHES)):
        with contextlib.suppress(OSError, ValueError):
            most = int((inotify / f"max_user_{name}").read_text())
            found.append(f"max_inotify_{name}={max(most // SHARES, least)}")
    return found


async def limit_shared(pid: int) -> bool:
    """Bound the sandbox of the bubblewrap `pid`; False if it ended before, or the kernel does not let us."""
    limits, command = shares(), await _command(pid)
    if command is None or not limits:
        return False
    helper = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", userns_limits.__file__, str(command), *limits),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={},
    )
    said = b"it took too long"
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_HELPER_SECONDS):
                _, said = await helper.communicate()
    finally:
        if helper.returncode is None:
            helper.kill()
            await helper.wait()
    if helper.returncode != 0 and Path(f"/proc/{command}").exists():
        _log.debug("a sandbox has no share of inotify of its own: %s", said.decode(errors="replace").strip()[-200:])
    return helper.returncode == 0


async def _command(pid: int) -> int | None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_START_SECONDS):
            while Path(f"/proc/{pid}").exists():
                if (command := command_of(pid, wrapper=b"bwrap")) is not None:
                    return command
                await asyncio.sleep(_LOOK_SECONDS)
    return None
