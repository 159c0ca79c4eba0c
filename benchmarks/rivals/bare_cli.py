"""The bare CLI, as a script calls it: a cold start for each answer."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from agent.claude.installation import find_cli
from agent.settings import AgentSettings
from benchmarks.timing import Stopwatch, Timing

STREAM = ("--output-format", "stream-json", "--verbose", "--include-partial-messages")
WHOLE = ("--output-format", "json")


@dataclass(frozen=True)
class BareCli:
    """`claude -p` in one directory, with a home of its own."""

    directory: Path
    home: Path
    model_url: str
    agent: str = "recruiter-triage"
    model: str = "claude-sonnet-4-6"

    async def whole(self, prompt: str) -> Timing:
        """The one JSON object that it prints, once it has ended."""
        watch = Stopwatch()
        printed, _ = await (await self._start(WHOLE, prompt)).communicate()
        timing = watch.stop()
        if b'"is_error":false' not in printed:
            raise RuntimeError(f"the bare CLI failed: {printed[-300:]!r}")
        return timing

    async def streamed(self, prompt: str) -> Timing:
        """Its first delta, and its end."""
        watch = Stopwatch()
        process = await self._start(STREAM, prompt)
        assert process.stdout is not None
        pending = b""
        while chunk := await process.stdout.read(1 << 18):
            if b'"text_delta"' in pending + chunk:
                watch.first()
            pending = chunk[-32:]
        await process.wait()
        timing = watch.stop()
        if process.returncode:
            raise RuntimeError(f"the bare CLI failed ({process.returncode}): {pending!r}")
        return timing

    def environment(self) -> dict[str, str]:
        """What it needs, and what makes it quickest."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "ANTHROPIC_BASE_URL": self.model_url,
            "ANTHROPIC_API_KEY": "offline",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "IS_SANDBOX": "1",
        }

    def argv(self) -> list[str]:
        """The command line but for the form of what is printed; the prompt goes to stdin."""
        argv = [str(find_cli(AgentSettings())), "-p", "--agent", self.agent, "--dangerously-skip-permissions"]
        return [*argv, "--max-budget-usd", "2", "--model", self.model]

    async def _start(self, form: tuple[str, ...], prompt: str) -> asyncio.subprocess.Process:
        self.home.mkdir(parents=True, exist_ok=True)
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *self.argv(), *form, cwd=self.directory, env=self.environment(), stdin=pipe, stdout=pipe
        )
        assert process.stdin is not None
        process.stdin.write(prompt.encode())
        process.stdin.close()
        return process
