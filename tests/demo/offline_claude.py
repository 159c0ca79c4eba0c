"""Runs the real CLI on stream-json, as a test's own process."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from agent.claude.installation import find_cli
from agent.settings import AgentSettings

BINARY = find_cli(AgentSettings())


@dataclass(frozen=True)
class Claude:
    """The real CLI, with a directory to work in and an environment of its own."""

    directory: Path
    environment: dict[str, str]

    async def run(self, prompt: str, *arguments: str) -> dict[str, Any]:
        """Run one prompt to its end, and return the result message."""
        async with self.start(*arguments) as process:
            await send_prompt(process, prompt)
            return [message async for message in read_messages(process) if message["type"] == "result"][-1]

    @asynccontextmanager
    async def start(self, *arguments: str) -> AsyncIterator[Process]:
        """Start the CLI on stream-json; it is gone at the end."""
        command = [str(BINARY), "-p", "--input-format", "stream-json", "--output-format", "stream-json"]
        command += ["--verbose", "--include-partial-messages", "--dangerously-skip-permissions"]
        with anyio.fail_after(30):
            async with await anyio.open_process(
                [*command, *arguments], cwd=self.directory, env=self.environment, stderr=None
            ) as process:
                try:
                    yield process
                finally:
                    await end(process)


async def end(process: Process) -> None:
    """Let the CLI end by itself, since a signal to one that just has would spoil its exit status; else kill it."""
    assert process.stdin
    with anyio.move_on_after(2, shield=True) as scope:
        await process.stdin.aclose()
        await process.wait()
    if scope.cancelled_caught:
        process.kill()


async def send_prompt(process: Process, content: str | list[dict[str, Any]], *, close: bool = True) -> None:
    """Send one user message, and close stdin unless there is more to come."""
    assert process.stdin
    message = {"type": "user", "message": {"role": "user", "content": content}, "parent_tool_use_id": None}
    await process.stdin.send(json.dumps(message | {"client_composed": True}).encode() + b"\n")
    if close:
        await process.stdin.aclose()


async def read_messages(process: Process) -> AsyncIterator[dict[str, Any]]:
    """Yield what the CLI says, until it ends."""
    assert process.stdout
    rest = ""
    async for text in TextReceiveStream(process.stdout, errors="replace"):
        *lines, rest = (rest + text).split("\n")
        for line in lines:
            yield json.loads(line)
