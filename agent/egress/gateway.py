"""Gives a cell without a network its one way out: a proxy of ours on the cell's own loopback."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from agent.domain.errors import SpawnFailed
from agent.egress import namespace_listener as inside
from agent.egress.proxy import EgressProxy
from agent.egress.resolver import Resolver

PORT = 3128
"""Where the proxy listens in each cell; nothing of the machine's is there."""

GATE = 9
"""The descriptor at which bubblewrap waits, the cell built, until it may start the agent."""

_START_SECONDS = 30.0
_LOOK_SECONDS = 0.002


def proxy_variables() -> dict[str, str]:
    """What makes programs go by the proxy: curl, git, pip, npm and most others; Node by NODE_USE_ENV_PROXY."""
    url, near = f"http://127.0.0.1:{PORT}", "localhost,127.0.0.1,::1"
    upper = {"HTTP_PROXY": url, "HTTPS_PROXY": url, "NO_PROXY": near}
    return {**upper, **{name.lower(): value for name, value in upper.items()}, "NODE_USE_ENV_PROXY": "1"}


def wait_for_gateway(argv: list[str], gate: Path) -> list[str]:
    """`argv`, a bubblewrap, with its GATE at the pipe `gate`, which is made here."""
    gate.unlink(missing_ok=True)
    os.mkfifo(gate, 0o600)
    program, *words = argv
    script = f'exec {GATE}<>"$1"; shift; exec "$@"'
    return ["/bin/sh", "-c", script, "sh", str(gate), program, "--block-fd", str(GATE), *words]


@asynccontextmanager
async def open_gateway(pid: int, gate: Path, routes: Resolver, whose: Callable[[], str]) -> AsyncIterator[None]:
    """Open for the cell of the bubblewrap `pid`; its agent starts once there is a way out, and not before.

    `whose` names the run when something is refused.

    Raises SpawnFailed.
    """
    cell = await _cell_of(pid)
    listener = await _listener_inside(cell) if cell is not None else None
    if listener is None:  # the cell could not be built, and says why itself
        yield
        return
    egress = EgressProxy(listener, routes, whose)
    try:
        _open(gate)
        yield
    finally:
        await egress.close()


def _open(gate: Path) -> None:
    with contextlib.suppress(OSError):  # nobody waits there: bubblewrap has ended, and its end tells the reason
        descriptor = os.open(gate, os.O_WRONLY | os.O_NONBLOCK)
        os.write(descriptor, b".")
        os.close(descriptor)


async def _cell_of(pid: int) -> int | None:
    """The first process of the cell; None if bubblewrap has ended before there was one."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(_START_SECONDS):
            while not (found := children.read_text().split()):  # noqa: ASYNC110 - /proc tells nobody
                await asyncio.sleep(_LOOK_SECONDS)
            return int(found[0])
    return None


async def _listener_inside(cell: int) -> socket.socket | None:
    """None if there is no such cell any more."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            helper = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", inside.__file__, str(cell), str(PORT)),
                stdin=theirs.fileno(),
                stderr=asyncio.subprocess.PIPE,
                env={},
            )
        said = b"it took too long"
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_START_SECONDS):
                    _, said = await helper.communicate()
        finally:
            if helper.returncode is None:
                helper.kill()
        if helper.returncode != 0 and not Path(f"/proc/{cell}").exists():
            return None
        if helper.returncode != 0:
            why = said.decode(errors="replace").strip().splitlines()[-1:]
            raise SpawnFailed(f"the cell could not be given its way out: {' '.join(why)}")
        _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
    return socket.socket(fileno=descriptors[0])
