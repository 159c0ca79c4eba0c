"""What a cell costs an agent: the cold start of the CLI, and a chat answer, in turn with a cell and without.

`python -m benchmarks.cell_price` prints both; it exits with 1 when either takes over 1.10 times as long in a cell.
PAIRS is how many of each are measured.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from pydantic import SecretStr

from agent.events import Event
from agent.models import AgentRequest
from agent.provider import ProviderProxy
from agent.runtime import Runtime
from agent.sandbox import probe_sandbox
from agent.settings import AgentSettings
from agent.slots import Slot
from demo.model import OfflineModel
from demo.repository import create_repository
from demo.stage import Stage, set_stage

PROMPT = 'offline-model: {"text": "here I am"}'
PAIRS = 20
MOST = 1.10
WARM_UP = 1

Pair = tuple[float, float]
"""Milliseconds in a cell, and without one."""


def main() -> int:
    """Measure, print, and judge; gives the exit status."""
    if (sandbox := probe_sandbox("auto")).bubblewrap is None:
        print(f"nothing to measure: {sandbox.reason}")
        return 1
    pairs = int(os.environ.get("PAIRS", PAIRS))
    with TemporaryDirectory() as directory, OfflineModel(record=False) as model:
        print(f"{pairs} pairs in turn, on {os.cpu_count()} cores, ms\n")
        print(f"{'':44}{'in a cell':>12}{'without':>12}{'ratio':>8}")
        start = report("cold start to first text", asyncio.run(cold_starts(Path(directory), model.url, pairs)))
        with two_services(Path(directory), model.url) as stages:
            answer = report("chat completion", asyncio.run(chat_answers(stages, pairs)))
    held = max(start, answer) <= MOST
    print(f"bound: the median of the pairs' ratios at most {MOST}: {'held' if held else 'NOT HELD'}")
    return 0 if held else 1


def report(name: str, pairs: list[Pair]) -> float:
    """Print medians and minima; the ratio that counts is the median of the pairs' own, which noise moves least."""
    inside, outside = ([pair[side] for pair in pairs] for side in (0, 1))
    ratio = statistics.median(one / other for one, other in pairs)
    for word, of in (("median", statistics.median), ("minimum", min)):
        print(f"{f'{name}, {word}':44}{of(inside):12.0f}{of(outside):12.0f}{of(inside) / of(outside):8.2f}")
    print(f"{f'{name}, median of the ratios':68}{ratio:8.2f}\n", flush=True)
    return ratio


async def cold_starts(directory: Path, model_url: str, pairs: int, warm_up: int = WARM_UP) -> list[Pair]:
    """From the start of a CLI to its first text, everything around it made ready before."""
    runtimes = []
    repository = create_repository(directory / "repository")
    for sandbox in ("bwrap", "off"):
        settings = AgentSettings(
            state_dir=directory / sandbox,
            workspace_dir=str(repository),
            anthropic_api_key=SecretStr("offline"),
            anthropic_base_url=model_url,
            agent_capacity=1,
            agent_sandbox="bwrap" if sandbox == "bwrap" else "off",
        )
        provider = ProviderProxy(settings)
        runtimes.append((Runtime(settings, provider), provider))
    (inside, inner_door), (outside, outer_door) = runtimes
    async with inner_door, outer_door, inside.slots.lend() as inner, outside.slots.lend() as outer:
        await inside.open()
        await outside.open()
        found: list[Pair] = []
        for number in range(warm_up + pairs):
            both = [(inside, inner), (outside, outer)]
            # whoever comes first finds the machine another: they take turns at it
            order = both if number % 2 else both[::-1]
            took = [await cold_start(runtime, slot, f"run-{number}") for runtime, slot in order]
            found.append((took[0], took[1]) if number % 2 else (took[1], took[0]))
    return found[warm_up:]


async def cold_start(runtime: Runtime, slot: Slot, run_id: str) -> float:
    """One run; milliseconds until something is said."""
    request = AgentRequest(prompt=PROMPT, agent="service-upgrade")
    said: list[float] = []

    def listen(event: Event) -> None:
        if event.type in ("text_delta", "said") and not said:
            said.append(time.perf_counter())

    checkout = await runtime.prepare(slot, request, run_id, allow_stale=False)
    began = time.perf_counter()
    async with runtime.converse(run_id, request, slot, checkout, listen) as conversation:
        await conversation.hold(request.prompt)
    await runtime.collect(slot, checkout, run_id)
    return 1000 * (said[0] - began)


@contextmanager
def two_services(directory: Path, model_url: str) -> Iterator[tuple[Stage, Stage]]:
    """The same service twice, one of them without cells."""
    with (
        set_stage(directory / "in-cells", model_url, {"AGENT_SANDBOX": "bwrap"}) as inside,
        set_stage(directory / "without", model_url, {"AGENT_SANDBOX": "off"}) as outside,
    ):
        yield inside, outside


async def chat_answers(stages: tuple[Stage, Stage], pairs: int) -> list[Pair]:
    """Whole answers, each service asked in turn."""
    found: list[Pair] = []
    async with httpx.AsyncClient(timeout=120, trust_env=False) as client:
        for number in range(WARM_UP + pairs):
            took = [await chat_answer(client, stage) for stage in (stages if number % 2 else stages[::-1])]
            found.append((took[0], took[1]) if number % 2 else (took[1], took[0]))
    return found[WARM_UP:]


async def chat_answer(client: httpx.AsyncClient, stage: Stage) -> float:
    """Milliseconds from a question to its answer."""
    began = time.perf_counter()
    answer = await client.post(
        f"{stage.url}/v1/chat/completions",
        json={"messages": [{"role": "user", "content": PROMPT}]},
        headers={"Authorization": f"Bearer {stage.token}"},
    )
    answer.raise_for_status()
    return 1000 * (time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(main())
