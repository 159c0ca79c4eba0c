"""One CLI process: start it, write to it, read its lines, end it with its process group."""

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
from agent.sandbox.sandbox import Placement
from agent.system.concurrency import run_to_completion

TAIL_BYTES = 65_536
"""So much of the end of stderr is kept: enough for a stack trace."""

LINE_BYTES = 40 * 1024 * 1024
"""The longest line of stdout: past a tool's result with a document of 20 MB in it. A longer one ends the process, for
its memory is ours."""

_TEXT_BYTES = 1024 * 1024  # to replace each wrong byte of more than this takes seconds

_CHUNK_BYTES = 262_144
_LINES_AT_ONCE = 500
_TERM_SECONDS = 2.0  # the CLI ends its tools and exits within 0.2 to 1.6 s of a SIGTERM
_KILL_SECONDS = 5.0  # SIGKILL acts at once, unless the process is in uninterruptible I/O
_DRAIN_SECONDS = 0.5  # the pipe holds at most 64 KiB more


class AgentProcess:
    """A running CLI in its own process group, made by `start` and ended by `end`.

    Its stderr is drained from the start, so that no amount of it can block the process.
    """

    def __init__(self, process: asyncio.subprocess.Process, exited: asyncio.Event, placement: Placement | None) -> None:
        self._process = process
        self._exited = exited
        self._placement = placement
        self._pending = bytearray()
        self._stderr = bytearray()
        self.was_ended = False
        """We ended it: its exit status says nothing of the agent."""
        self.has_flooded = False
        """It printed a line of more than LINE_BYTES, and was ended for it."""
        self._drain = asyncio.create_task(self._drain_stderr())

    @classmethod
    async def start(
        cls, argv: list[str], environment: dict[str, str], directory: Path, placement: Placement | None = None
    ) -> AgentProcess:
        """Start `argv`; raises SpawnFailed if the system refuses."""
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
        return cls(asyncio.subprocess.Process(transport, protocol, loop), protocol.exited, placement)

    @property
    def pid(self) -> int:
        """The process id, which is also its process group's."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit status, a signal as a negative number; None while it runs."""
        return self._process.returncode

    @property
    def stderr(self) -> str:
        """The end of its stderr so far."""
        return self._stderr.decode(errors="replace")

    async def send(self, message: dict[str, Any]) -> None:
        """Write one message, which a process that has ended does not get.

        Has no time limit: a process that does not read blocks it once its pipe is full.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, RuntimeError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            await self._process.stdin.drain()

    def close_stdin(self) -> None:
        """Close its stdin: an idle CLI exits upon it."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    async def lines(self) -> AsyncIterator[str]:
        """Yield each line of stdout until it is closed; a line longer than LINE_BYTES ends the process."""
        assert self._process.stdout is not None
        pending = self._pending  # kept between calls: a later reader goes on where an earlier one stopped
        searched = lines = 0
        while True:
            while (end := pending.find(b"\n", searched)) >= 0:
                line = _decode(pending[:end])
                del pending[: end + 1]
                searched = 0
                yield line
                lines += 1
                if lines % _LINES_AT_ONCE == 0:  # a flood of short lines leaves the event loop to others too
                    await asyncio.sleep(0)
            searched = len(pending)
            chunk = await self._process.stdout.read(_CHUNK_BYTES)
            if not chunk:
                break
            if searched + len(chunk) > LINE_BYTES:
                self.has_flooded = True
                self.kill()
                pending.clear()
                return
            pending += chunk
        if pending:
            line = _decode(pending)
            pending.clear()
            yield line

    async def wait(self, seconds: float) -> int | None:
        """Return the exit status, or None if it still runs after `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._exited.wait()
        return self.exit_code

    async def exited(self) -> None:
        """Return once the process has ended; has no time limit."""
        await self._exited.wait()

    def kill(self) -> None:
        """Send SIGKILL to the process group. The caller must still call `end`."""
        self._signal(signal.SIGKILL)

    async def end(self) -> None:
        """End the process and its group within about 8 s; cancellation does not interrupt it."""
        await run_to_completion(self._end())

    async def _end(self) -> None:
        try:
            if self.exit_code is None:
                self._terminate()
                await self.wait(_TERM_SECONDS)
            # also after an orderly exit: processes that it left in its group go with it
            self._signal(signal.SIGKILL)
            await self.wait(_KILL_SECONDS)
            if self._placement is not None:
                await self._placement.kill_remaining(self.pid)
            await asyncio.wait({self._drain}, timeout=_DRAIN_SECONDS)
        finally:
            await self._close_pipes()

    def _terminate(self) -> None:
        self.was_ended = True
        if self._placement is not None:
            self._placement.terminate(self.pid)
        else:
            self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        self.was_ended = self.was_ended or self.exit_code is None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def _close_pipes(self) -> None:
        # a grandchild that lives on may hold the other ends open for ever; asyncio has no public way to close ours
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


def _decode(line: bytearray) -> str:
    """Return the line as text; of a long one that is not UTF-8, and so no message, its end."""
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line[-_TEXT_BYTES:].decode(errors="replace")


class _Protocol(asyncio.subprocess.SubprocessStreamProtocol):
    """Sets `exited` when the process ends: `Process.wait` also waits for grandchildren that hold its pipes open."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=_CHUNK_BYTES, loop=loop)
        self.exited = asyncio.Event()

    def process_exited(self) -> None:
        super().process_exited()
        self.exited.set()
