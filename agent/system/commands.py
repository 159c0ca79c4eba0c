"""Runs a short command to its end within a time limit and kills its process group."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

STDERR_BYTES = 65_536
TERM_GRACE_SECONDS = 2.0
KILL_SECONDS = 5.0


@dataclass(frozen=True)
class TimeLimit:
    """The time that a program may take, and for which it may say nothing on stderr."""

    seconds: float
    silence_seconds: float | None = None


class CommandFailed(Exception):
    """It ended with another exit status than 0, or, with none, was ended for taking too long."""

    def __init__(self, exit_status: int | None, stderr: str, stdout: bytes = b"") -> None:
        self.exit_status = exit_status
        self.stderr = stderr
        self.stdout = stdout
        super().__init__(f"exit status {exit_status}")


@dataclass(frozen=True)
class Command:
    """A command line, with all that it gets to see."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    bound: TimeLimit

    async def run(self, stdin: bytes = b"", limit: int | None = None) -> bytes:
        """Return what it prints on stdout; past `limit` bytes it is ended and those are it. Raises CommandFailed."""
        process = await self._start(asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL)
        try:
            return await _Conversation(process, self.bound).hold(stdin, limit)
        finally:
            await _end(process)

    async def _start(self, stdin: int) -> asyncio.subprocess.Process:
        starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *self.argv,
                stdin=stdin,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=self.environment,
                cwd=self.directory,
                start_new_session=True,
            )
        )
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # asyncio would end the process alone, and then wait for whoever else holds its pipes
            await _end(await starting)
            raise


class _Conversation:
    """One program's pipes, read as they fill."""

    def __init__(self, process: asyncio.subprocess.Process, bound: TimeLimit) -> None:
        self.process = process
        self.bound = bound
        self.stderr = bytearray()
        self.deadline = asyncio.get_running_loop().time() + bound.seconds

    async def hold(self, stdin: bytes, limit: int | None) -> bytes:
        try:
            async with asyncio.timeout(None) as clock:
                self._wind(clock)
                stdout, complete = await self._exchange(stdin, limit, clock)
        except TimeoutError:
            raise CommandFailed(None, self._said()) from None
        if complete and self.process.returncode:
            raise CommandFailed(self.process.returncode, self._said(), stdout)
        return stdout

    async def _exchange(self, stdin: bytes, limit: int | None, clock: asyncio.Timeout) -> tuple[bytes, bool]:
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self._write(stdin))
            draining = group.create_task(self._drain(clock))
            stdout, complete = await self._read(limit)
            if not complete:
                writing.cancel()
                draining.cancel()
        if complete:
            await self.process.wait()
        return stdout, complete

    async def _write(self, stdin: bytes) -> None:
        if (pipe := self.process.stdin) is None:
            return
        try:
            pipe.write(stdin)
            await pipe.drain()
        except (BrokenPipeError, ConnectionResetError):
            pass  # its exit status says why it stopped reading
        finally:
            pipe.close()

    async def _read(self, limit: int | None) -> tuple[bytes, bool]:
        assert self.process.stdout is not None
        stdout = bytearray()
        while chunk := await self.process.stdout.read(262_144):
            stdout += chunk
            if limit is not None and len(stdout) > limit:
                return bytes(stdout[:limit]), False
        return bytes(stdout), True

    async def _drain(self, clock: asyncio.Timeout) -> None:
        assert self.process.stderr is not None
        while chunk := await self.process.stderr.read(65_536):
            self.stderr = (self.stderr + chunk)[-STDERR_BYTES:]
            self._wind(clock)

    def _wind(self, clock: asyncio.Timeout) -> None:
        silence = self.bound.silence_seconds
        now = asyncio.get_running_loop().time()
        clock.reschedule(self.deadline if silence is None else min(self.deadline, now + silence))

    def _said(self) -> str:
        return self.stderr.decode(errors="replace")


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the whole group; SIGTERM first, on which git removes its lock files."""
    try:
        if process.returncode is None:
            _signal(process.pid, signal.SIGTERM)
            async with asyncio.timeout(TERM_GRACE_SECONDS):
                await process.wait()
    except TimeoutError:
        pass
    finally:
        _signal(process.pid, signal.SIGKILL)
        if process.returncode is None:
            # it may be in the middle of a write: whoever comes next must not find it there
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(KILL_SECONDS):
                    await process.wait()
        # unread output would keep the pipe open for good; there is no public way to give it up
        process._transport.close()  # type: ignore[attr-defined]


def _signal(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return
