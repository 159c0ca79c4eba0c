"""The old way: a service of a hundred lines, that locks, pulls, starts the CLI anew, and parses what it prints.

`python -m benchmarks.rivals.old_way PORT DIRECTORY HOME MODEL_URL` serves. It keeps nothing, shows nothing, and holds
nothing in a cell.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from benchmarks.rivals.bare_cli import BareCli
from benchmarks.timing import Stopwatch, Timing
from demo.service import free_ports

START_SECONDS = 60.0
MODEL = "claude-sonnet-4-6"


class OldMessage(BaseModel):
    """One of a conversation."""

    role: str
    content: str


class OldRequest(BaseModel):
    """A chat completion that is asked for."""

    model: str = MODEL
    messages: list[OldMessage]


class Agent:
    """One at a time, in one checkout."""

    def __init__(self, cli: BareCli) -> None:
        self._cli = cli
        self._lock = asyncio.Lock()

    async def answer(self, prompt: str) -> str:
        """The agent's text; raises HTTPException 503."""
        async with self._lock:
            await self._run("git", "pull", "--quiet", "--ff-only")
            argv = [*self._cli.argv(), "--output-format", "json"]
            printed = await self._run(*argv, stdin=prompt.encode())
        try:
            result: dict[str, Any] = json.loads(printed)
        except ValueError:
            raise HTTPException(503, "execution failed") from None
        if result.get("is_error"):
            raise HTTPException(503, "execution failed")
        return str(result.get("result", ""))

    async def _run(self, *argv: str, stdin: bytes = b"") -> bytes:
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=self._cli.directory,
            env=self._cli.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        printed, complaint = await process.communicate(stdin)
        if process.returncode:
            raise HTTPException(503, f"execution failed: {complaint[-200:].decode(errors='replace')}")
        return printed


def create_app(agent: Agent) -> FastAPI:
    """The one route."""
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def create_chat_completion(asked: OldRequest) -> dict[str, Any]:
        text = await agent.answer("\n\n".join(message.content for message in asked.messages))
        return {
            "id": f"chatcmpl-{uuid4().hex}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": asked.model,
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"},
            ],
        }

    return app


@contextmanager
def old_way(cli: BareCli) -> Iterator[str]:
    """The old way as a process of its own; gives its address."""
    [port] = free_ports(1)
    argv = [sys.executable, "-m", "benchmarks.rivals.old_way", str(port), str(cli.directory), str(cli.home)]
    with subprocess.Popen([*argv, cli.model_url]) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            _wait(url, process)
            yield url
        finally:
            process.terminate()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(f"{url}/openapi.json", trust_env=False).raise_for_status()
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError("the old way did not start")


async def ask_old_way(client: httpx.AsyncClient, url: str, prompt: str) -> Timing:
    """One whole answer."""
    watch = Stopwatch()
    body = {"messages": [{"role": "user", "content": prompt}]}
    answer = await client.post(f"{url}/v1/chat/completions", json=body)
    timing = watch.stop()
    answer.raise_for_status()
    return timing


if __name__ == "__main__":
    place, home, model = Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    home.mkdir(parents=True, exist_ok=True)
    app = create_app(Agent(BareCli(place, home, model)))
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
