"""One process of the CLI: started, spoken with, and ended for certain."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from agent.domain.errors import SpawnFailed
from agent.sandbox.process_sweep import Sweep
from agent.system.concurrency import run_to_completion

TAIL_BYTES = 65_536
"""How much of stderr is kept: its end."""

LINE_BYTES = 256 * 1024 * 1024
"""Far past any result the CLI can give; it bounds what a broken one can make us hold."""

_CHUNK_BYTES = 262_144
_TERM_SECONDS = 2.0
_KILL_SECONDS = 5.0
_DRAIN_SECONDS = 0.5


class AgentProcess:
    """A running CLI, in a session of its own.

    Its stderr is drained from the start, so that no amount of it can block the process.
    """

    def __init__(self, process: asyncio.subprocess.Process, exit: asyncio.Event, sweep: Sweep | None) -> None:
        self._process = process
        self._exit = exit
        self._sweep = sweep
        self._pending = bytearray()
        self._stderr = bytearray()
        self._drain = asyncio.create_task(self._drain_stderr())

    @classmethod
    async def start(
        cls, argv: list[str], environment: dict[str, str], directory: Path, sweep: Sweep | None = None
    ) -> AgentProcess:
        """Start `argv`; raises SpawnFailed when the system does not let us."""
        loop = asyncio.get_running_loop()
        try:
            transport, protocol = await loop.subprocess_exec(
                lambda: _Protocol(loop),
                *argv,
                env=environment,
                cwd=directory,
                start_new_session=True,
            )
        except OSError as error:
            reason = error.strerror or error
            raise SpawnFailed(f"cannot start {argv[0]}: {reason}; is CLAUDE_CLI an executable file?") from error
        return cls(asyncio.subprocess.Process(transport, protocol, loop), protocol.exit, sweep)

    @property
    def pid(self) -> int:
        """The process id, which is its process group's as well."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How the process ended, a signal as a negative number; None while it runs."""
        return self._process.returncode

    @property
    def stderr(self) -> str:
        """The end of what it printed on stderr so far."""
        return self._stderr.decode(errors="replace")

    async def send(self, message: dict[str, Any]) -> None:
        """Say one message; one that the process no longer hears is dropped, its end tells the reason."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, RuntimeError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            await self._process.stdin.drain()

    def hang_up(self) -> None:
        """Close its stdin: an idle CLI exits upon it."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    async def lines(self) -> AsyncIterator[str]:
        """Each line of stdout, however long, until it is closed."""
        assert self._process.stdout is not None
        pending = self._pending  # kept between calls: whoever stops listening may be followed by another
        searched = 0
        while True:
            while (end := pending.find(b"\n", searched)) >= 0:
                line = pending[:end].decode(errors="replace")
                del pending[: end + 1]
                searched = 0
                yield line
            searched = len(pending)
            chunk = await self._process.stdout.read(_CHUNK_BYTES)
            if not chunk or searched > LINE_BYTES:
                break
            pending += chunk
        if pending:
            line = pending.decode(errors="replace")
            pending.clear()
            yield line

    async def wait(self, seconds: float) -> int | None:
        """The exit code, or None if it still runs after `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._exit.wait()
        return self.exit_code

    async def exited(self) -> None:
        """Return once the process has ended, however long it takes."""
        await self._exit.wait()

    def kill(self) -> None:
        """Stop it at once, without a word; to `end` it is still to be done."""
        self._signal(signal.SIGKILL)

    async def end(self) -> None:
        """Make sure that nothing of it runs any more; bounded, and not stopped by cancellation."""
        await run_to_completion(self._end())

    async def _end(self) -> None:
        try:
            if self.exit_code is None:
                self._signal(signal.SIGTERM)
                await self.wait(_TERM_SECONDS)
            # Also after an orderly exit: what it left in its group goes with it.
            self._signal(signal.SIGKILL)
            await self.wait(_KILL_SECONDS)
            if self._sweep is not None:
                await self._sweep(self.pid)
            await asyncio.wait({self._drain}, timeout=_DRAIN_SECONDS)
        finally:
            await self._close_pipes()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def _close_pipes(self) -> None:
        """Close our ends: a grandchild that lives on may hold the others open for ever."""
        transport: asyncio.SubprocessTransport = self._process._transport  # type: ignore[attr-defined]
        transport.close()
        self._drain.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._drain

    async def _drain_stderr(self) -> None:
        assert self._process.stderr is not None
        while chunk := await self._process.stderr.read(_CHUNK_BYTES):
            self._stderr += chunk
            del self._stderr[:-TAIL_BYTES]


class _Protocol(asyncio.subprocess.SubprocessStreamProtocol):
    """Tells the end of a process when it comes: `Process.wait` may wait for whoever holds the pipes open."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=_CHUNK_BYTES, loop=loop)
        self.exit = asyncio.Event()

    def process_exited(self) -> None:
        super().process_exited()
        self.exit.set()
