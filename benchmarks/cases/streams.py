"""Streamed chat completions: how soon the first word comes, and whether 200 at once all come to their end.

`python -m benchmarks.cases.streams` measures both, and exits with 1 when

- the first content is with its client later than after 1.25 times what the CLI itself took to say it, in the same run;
- a stream is not complete, its words are out of order, or the streams have less than two chunks each on average;
- the host's memory grows by more than 64 MiB meanwhile.

STREAMS=50 has fewer of them.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from agent.claude.installation import find_cli
from agent.settings import AgentSettings
from benchmarks.registry import TITLES
from benchmarks.report.figures import Comparison, Figure
from benchmarks.report.results import Findings, publish
from demo.offline_model.model import OfflineModel
from demo.service import Stage, set_stage

STREAMS = 200
RUNS = 7
WORDS = 12
RATIO_BOUND = 1.25
GROWTH_BOUND_MIB = 64.0
PATIENCE_SECONDS = 3600.0

# the demo's own has schedules: their runs would take slots
REGISTER = """\
deployments:
  - name: agent-run
    entrypoint: flows.agent_run.agent_run
    work_pool: {name: agents}
"""

TEXT = """\
How much later a caller has the first word than the CLI has said it, and whether two hundred streams at once all come to
their end: a busy host joins what waits for a caller into fewer chunks."""

STAMPING_CLI = """\
#!{python}
import os, sys, subprocess, time
child = subprocess.Popen([{cli!r}, *sys.argv[1:]], stdout=subprocess.PIPE)
stamped = False
for line in iter(child.stdout.readline, b""):
    if not stamped and b'"text_delta"' in line:
        stamped = True
        with open(os.path.join({stamps!r}, str(os.getpid())), "w") as stamp:
            stamp.write(repr(time.monotonic()))
    os.write(1, line) if len(line) < 4096 else (sys.stdout.buffer.write(line), sys.stdout.buffer.flush())
sys.exit(child.wait())
"""


def main() -> int:
    """Measure, and publish; gives the exit status."""
    found = Findings()
    count = int(os.environ.get("STREAMS", STREAMS))
    with tempfile.TemporaryDirectory() as scratch, OfflineModel(record=False) as model:
        register = Path(scratch) / "prefect.yaml"
        register.write_text(REGISTER)
        told = first_words(Path(scratch), model.url, register)
        crowd = crowded(Path(scratch), model.url, register, count)
    found.comparisons = [
        Comparison(
            name="first content at the client",
            rival_name="when the CLI said it, in the same run",
            ours=[1000 * ours for _, ours in told],
            rival=[1000 * cli for cli, _ in told],
            at_most=RATIO_BOUND,
        )
    ]
    found.figures = figures_of(crowd)
    for fault in crowd.faults[:5]:
        print(f"  {fault}")
    return publish(found.part("streams", TITLES["streams"], TEXT))


def figures_of(crowd: Crowd) -> list[Figure]:
    """What became of many streams at once, and what that took."""
    few = max(0.0, 2 - crowd.chunks / crowd.count)
    name = f"{crowd.count} streams at once, {crowd.capacity} agents at a time"
    return [
        Figure(name=f"{name}: until the last has ended", values=[crowd.seconds], unit="s"),
        Figure(name="not complete, or out of order", values=[len(crowd.faults)], unit="streams", at_most=0),
        Figure(name=f"chunks a stream, of {WORDS} words", values=[crowd.chunks / crowd.count], unit=""),
        Figure(name="chunks less than two a stream", values=[few], unit="", at_most=0),
        Figure(
            name="the host's memory grew by, at most",
            values=[crowd.peak_mib - crowd.before_mib],
            unit="MiB",
            at_most=GROWTH_BOUND_MIB,
        ),
    ]


def first_words(scratch: Path, model_url: str, register: Path) -> list[tuple[float, float]]:
    """Of each run, seconds from the request to the CLI's own first delta, and to the client's first content."""
    stamps = scratch / "stamps"
    stamps.mkdir()
    cli = scratch / "claude"
    real = str(find_cli(AgentSettings()))
    cli.write_text(STAMPING_CLI.format(python=sys.executable, cli=real, stamps=str(stamps)))
    cli.chmod(0o755)
    # the stamps lie outside of what a cell may write to
    settings = {"AGENT_CAPACITY": "1", "AGENT_SANDBOX": "off", "CLAUDE_CLI": str(cli)}
    with set_stage(scratch / "first", model_url, settings, register) as stage:
        return asyncio.run(_first_words(stage, stamps))


async def _first_words(stage: Stage, stamps: Path) -> list[tuple[float, float]]:
    told = []
    async with client_of(stage) as client:
        for number in range(1 + RUNS):
            for stamp in stamps.iterdir():
                stamp.unlink()
            sent_at = time.monotonic()
            stream = await listen(client, number, chunk_delay_ms=20)
            if stream.fault:
                raise RuntimeError(f"run {number}: {stream.fault}")
            [stamp] = stamps.iterdir()
            if number:  # the first run ever fetches the repository
                told.append((float(stamp.read_text()) - sent_at, stream.first_at - sent_at))
    return told


@dataclass
class Crowd:
    """What became of many streams at once."""

    count: int
    capacity: int
    seconds: float = 0
    complete: int = 0
    chunks: int = 0
    faults: list[str] = field(default_factory=list)
    before_mib: float = 0
    peak_mib: float = 0
    after_mib: float = 0


def crowded(scratch: Path, model_url: str, register: Path, count: int) -> Crowd:
    """So many callers at once of a model that takes its time."""
    capacity = 2 * (os.cpu_count() or 1)
    settings = {
        "AGENT_CAPACITY": str(capacity),
        "MAX_QUEUE_DEPTH": str(count),
        "QUEUE_WAIT_SECONDS": str(PATIENCE_SECONDS),
    }
    with set_stage(scratch / "crowd", model_url, settings, register) as stage:
        return asyncio.run(crowd_of(stage, count, capacity))


async def crowd_of(stage: Stage, count: int, capacity: int) -> Crowd:
    """Open so many streams, listen to all of them, and watch the host's memory."""
    crowd = Crowd(count, capacity)
    async with client_of(stage) as client:
        await asyncio.gather(*(listen(client, number) for number in range(capacity)))
        crowd.before_mib = crowd.peak_mib = memory_mib(stage)
        watching = asyncio.create_task(_watch(stage, crowd))
        started = time.monotonic()
        streams = await asyncio.gather(*(listen(client, number, delay_ms=500) for number in range(count)))
        crowd.seconds = time.monotonic() - started
        watching.cancel()
    crowd.after_mib = memory_mib(stage)
    crowd.faults = [f"stream {stream.number}: {stream.fault}" for stream in streams if stream.fault]
    crowd.complete = count - len(crowd.faults)
    crowd.chunks = sum(stream.chunks for stream in streams)
    return crowd


async def _watch(stage: Stage, crowd: Crowd) -> None:
    while True:
        crowd.peak_mib = max(crowd.peak_mib, memory_mib(stage))
        await asyncio.sleep(0.5)


def memory_mib(stage: Stage) -> float:
    """The resident memory of the process that serves the API and holds the agents."""
    for process in psutil.Process(stage.process.pid).children():
        if "api" in process.cmdline():
            return float(process.memory_info().rss) / 2**20
    raise RuntimeError("there is no host")


@dataclass
class Stream:
    """One stream: in how many chunks its content came, when the first of them, and what is wrong with it."""

    number: int
    chunks: int = 0
    first_at: float = 0
    fault: str = ""


async def listen(client: httpx.AsyncClient, number: int, **pauses: int) -> Stream:
    """Ask for words in a known order, and see whether they come so, and an end after them."""
    stream = Stream(number)
    words = [f"{number}.{position} " for position in range(WORDS)]
    step: dict[str, Any] = {"text": "".join(words), "chunks": WORDS, "chunk_delay_ms": 50} | pauses
    prompt = f"stream {number} offline-model: {json.dumps(step)}"
    body = {"model": "haiku", "stream": True, "messages": [{"role": "user", "content": prompt}]}
    heard, finish, done = [], None, False
    try:
        async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
            if answer.status_code != 200:
                stream.fault = f"{answer.status_code} {(await answer.aread())[:200]!r}"
                return stream
            async for event in events(answer):
                if event == "[DONE]":
                    done = True
                    continue
                [choice] = json.loads(event)["choices"]
                if content := choice["delta"].get("content"):
                    stream.first_at = stream.first_at or time.monotonic()
                    heard.append(content)
                finish = choice["finish_reason"] or finish
    except (httpx.HTTPError, KeyError, ValueError) as error:
        stream.fault = f"{type(error).__name__}: {error}"
        return stream
    stream.chunks = len(heard)
    if "".join(heard).strip() != "".join(words).strip():
        stream.fault = f"{len(heard)} chunks: {''.join(heard)[:200]!r}"
    elif not (done and finish == "stop"):
        stream.fault = f"no end: finish reason {finish}, [DONE] {done}"
    return stream


async def events(answer: httpx.Response) -> AsyncIterator[str]:
    """The data of each event."""
    async for line in answer.aiter_lines():
        if line.startswith("data: "):
            yield line.removeprefix("data: ")


def client_of(stage: Stage) -> httpx.AsyncClient:
    """A caller with as many connections and as much patience as it takes."""
    return httpx.AsyncClient(
        base_url=stage.url,
        headers={"Authorization": f"Bearer {stage.token}"},
        timeout=PATIENCE_SECONDS,
        limits=httpx.Limits(max_connections=None),
    )


if __name__ == "__main__":
    sys.exit(main())
