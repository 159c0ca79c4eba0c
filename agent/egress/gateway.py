"""Connects a sandbox without a network to the egress proxy on its own loopback."""

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
"""Where the proxy listens in each sandbox; nothing of the machine's is there."""

GATE = 9
"""The descriptor at which bubblewrap waits, the sandbox built, until it may start the agent."""

_START_SECONDS = 30.0
_LOOK_SECONDS = 0.002


def proxy_variables() -> dict[str, str]:
    """Return the variables that make curl, git, pip, npm and most others use the proxy; Node by its own."""
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
    """Serve the sandbox of the bubblewrap `pid` while this is open; its agent starts once the proxy listens.

    `whose` names the run when something is refused.

    Raises SpawnFailed.
    """
    first = await _first_process(pid)
    listener = await _listener_inside(first) if first is not None else None
    if listener is None:  # the sandbox could not be built, and its stderr says why
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


async def _first_process(pid: int) -> int | None:
    """Return the first process of the sandbox; None if bubblewrap has ended before there was one."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(_START_SECONDS):
            while not (found := children.read_text().split()):  # noqa: ASYNC110 - /proc tells nobody
                await asyncio.sleep(_LOOK_SECONDS)
            return int(found[0])
    return None


async def _listener_inside(first: int) -> socket.socket | None:
    """Return a socket that listens in the sandbox of the process `first`; None if that has ended."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            helper = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", inside.__file__, str(first), str(PORT)),
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
        if helper.returncode != 0 and not Path(f"/proc/{first}").exists():
            return None
        if helper.returncode != 0:
            why = said.decode(errors="replace").strip().splitlines()[-1:]
            raise SpawnFailed(f"the sandbox could not be connected to the egress proxy: {' '.join(why)}")
        _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
    return socket.socket(fileno=descriptors[0])
