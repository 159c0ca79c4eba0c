"""Sixteen chat completions at once: the service, the bare CLI with as many at a time, and Prefect's stock SQLite.

`python -m benchmarks.cases.chat_burst` measures all three, and exits with 1 when the service takes more than 1.6
times what the bare CLI takes, or leaves a caller without an answer.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

import httpx

from agent.claude.installation import find_cli
from agent.settings import AgentSettings
from benchmarks.registry import TITLES
from benchmarks.report.figures import Comparison, Figure
from benchmarks.report.results import Findings, publish
from benchmarks.rivals.stock_prefect import stock_prefect
from demo.offline_model.model import OfflineModel
from demo.repository import create_repository, git
from demo.service import Stage, set_stage

CALLERS = 16
CAPACITY = 8
BOUND = 1.6
PROMPT = 'offline-model: {"text": "pong"}'
STOCK_LIMIT_SECONDS = 180.0
TEXT = """\
Sixteen callers at once where eight agents have room: on the embedded Prefect server as we set it up, and on Prefect's
SQLite server as it comes, both beside the bare CLI."""


def main() -> int:
    """Measure, and publish; gives the exit status."""
    found = Findings()
    callers = int(os.environ.get("CALLERS", CALLERS))
    with tempfile.TemporaryDirectory() as scratch, OfflineModel(record=False) as model:
        directory = Path(scratch)
        with set_stage(directory / "cured", model.url, {"AGENT_CAPACITY": str(CAPACITY)}) as stage:
            asyncio.run(burst(stage, 2))  # the first run ever fetches the repository
            bare = asyncio.run(bare_burst(directory, model.url, callers))
            ours, answered, unavailable = asyncio.run(burst(stage, callers))
        with stock_prefect(directory / "stock-prefect") as prefect_url:
            settings = {"AGENT_CAPACITY": str(CAPACITY), "PREFECT_API_URL": prefect_url}
            with set_stage(directory / "stock", model.url, settings) as stage:
                asyncio.run(burst(stage, 1))
                stock, stock_answered, stock_unavailable = asyncio.run(burst(stage, callers))
    rival = f"claude -p, {CAPACITY} at a time"
    found.comparisons = [
        Comparison(
            name=f"{callers} answers, {answered} of them 200, {unavailable} 503",
            rival_name=rival,
            ours=[ours],
            rival=[bare],
            unit="s",
            at_most=BOUND,
        ),
        Comparison(
            name=f"on Prefect's stock SQLite server: {stock_answered} of them 200, {stock_unavailable} 503",
            rival_name=rival,
            ours=[stock],
            rival=[bare],
            unit="s",
        ),
    ]
    found.figures = [Figure(name="callers without an answer", values=[callers - answered], unit="", at_most=0)]
    return publish(found.part("chat_burst", TITLES["chat_burst"], TEXT))


async def burst(stage: Stage, callers: int) -> tuple[float, int, int]:
    """Seconds until the last of so many callers has its answer, how many got one, and how many a 503."""
    headers = {"Authorization": f"Bearer {stage.token}"}
    body = {"messages": [{"role": "user", "content": PROMPT}]}
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=stage.url, headers=headers, timeout=STOCK_LIMIT_SECONDS, limits=limits
    ) as client:
        started = time.perf_counter()
        answers = await asyncio.gather(
            *(client.post("/v1/chat/completions", json=body) for _ in range(callers)), return_exceptions=True
        )
        seconds = time.perf_counter() - started
    codes = [answer.status_code for answer in answers if isinstance(answer, httpx.Response)]
    return seconds, codes.count(200), codes.count(503)


async def bare_burst(directory: Path, model_url: str, callers: int) -> float:
    """Seconds that as many runs of the bare CLI take, `CAPACITY` at a time, in clones of the same repository."""
    origin = create_repository(directory / "bare")
    clones = [directory / "bare" / f"clone-{number}" for number in range(CAPACITY)]
    for clone in clones:
        git(directory, "clone", "--quiet", str(origin), str(clone))
    free: asyncio.Queue[Path] = asyncio.Queue()
    for clone in clones:
        free.put_nowait(clone)

    async def one() -> None:
        clone = await free.get()
        await run_bare(clone, directory / "bare" / f"home-{clone.name}", model_url)
        free.put_nowait(clone)

    started = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(callers)))
    return time.perf_counter() - started


async def run_bare(clone: Path, home: Path, model_url: str) -> None:
    """`claude -p --output-format json`, as a script would call it."""
    home.mkdir(exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "ANTHROPIC_BASE_URL": model_url,
        "ANTHROPIC_API_KEY": "offline",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "IS_SANDBOX": "1",
    }
    argv = [str(find_cli(AgentSettings())), "-p", "--output-format", "json", "--agent", "recruiter-triage"]
    argv += ["--dangerously-skip-permissions", "--max-budget-usd", "2", "--model", "claude-sonnet-4-6", PROMPT]
    null, out = asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, cwd=clone, env=environment, stdin=null, stdout=out)
    printed, _ = await process.communicate()
    if process.returncode != 0 or b"pong" not in printed:
        raise RuntimeError(f"the bare CLI failed ({process.returncode}): {printed[-300:]!r}")


if __name__ == "__main__":
    sys.exit(main())
