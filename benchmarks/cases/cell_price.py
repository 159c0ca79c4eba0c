"""Benchmark: the cost of a sandbox, as cold starts of the CLI and chat answers, in turn with a sandbox and without.

`python -m benchmarks.cases.cell_price` takes some four minutes; PAIRS=3 has fewer pairs. It exits with 1 when one of
them takes over 1.10 times as long in a cell.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from agent.domain.events import Event
from agent.domain.request import AgentRequest
from agent.pool.slots import Slot
from agent.provider.proxy import ProviderProxy
from agent.runtime import Runtime
from agent.sandbox.probe import probe_sandbox
from agent.settings import AgentSettings
from benchmarks.harness.client import MeasuredCaller, at_rest, client_of, prompt_of
from benchmarks.harness.service import Scene, open_scene
from benchmarks.registry import TITLES
from benchmarks.report.figures import Comparison
from benchmarks.report.results import Findings, publish
from benchmarks.timing import Measured, in_turn, wholes
from demo.repository import create_repository

PROMPT = prompt_of("here I am")
PAIRS = 20
BOUND = 1.1
WARM_UP = 1
TEXT = """\
The CLI started from nothing, from its exec to its first text; and two services side by side, one with cells and one
without, asked in turn and both at rest: for the agent that they expect, and for one that nobody has asked for."""

Pair = tuple[float, float]
"""Milliseconds in a cell, and without one."""


def main() -> int:
    """Measure, and publish; gives the exit status."""
    if (sandbox := probe_sandbox("auto")).bubblewrap is None:
        print(f"nothing to measure: {sandbox.reason}")
        return 1
    found = Findings()
    pairs = int(os.environ.get("PAIRS", PAIRS))
    with open_scene({"AGENT_SANDBOX": "bwrap"}) as inside, open_scene({"AGENT_SANDBOX": "off"}) as outside:
        starts = asyncio.run(cold_starts(inside.directory / "starts", inside.model_url, pairs))
        answers = asyncio.run(chat_answers(inside, outside, pairs))
    found.comparisons = compare(starts, answers)
    return publish(found.part("cell_price", TITLES["cell_price"], TEXT))


def compare(starts: list[Pair], answers: Measured) -> list[Comparison]:
    """With a cell over without one, each with the bound that we hold ourselves to."""
    measured = {
        "cold start to the first text": ([inside for inside, _ in starts], [outside for _, outside in starts]),
        "chat answer, hot": (wholes(answers["hot, in a cell"]), wholes(answers["hot"])),
        "chat answer, any": (wholes(answers["any, in a cell"]), wholes(answers["any"])),
    }
    return [
        Comparison(name=f"{name}, in a cell", rival_name="without one", ours=ours, rival=rival, at_most=BOUND)
        for name, (ours, rival) in measured.items()
    ]


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
    async with inner_door, outer_door:
        inner, outer = await inside.slots.acquire(), await outside.slots.acquire()
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
    async with (
        runtime.start_process(run_id, request, slot, checkout) as started,
        runtime.start_turn(run_id, started, request, checkout, listen) as turn,
    ):
        await turn.run(request.prompt)
    await runtime.collect(slot, checkout, run_id)
    return 1000 * (said[0] - began)


async def chat_answers(inside: Scene, outside: Scene, pairs: int) -> Measured:
    """Whole answers, the services asked in turn."""

    async def rest() -> None:
        await asyncio.gather(at_rest(inside.stage), at_rest(outside.stage))

    async with client_of(inside.stage) as inner_client, client_of(outside.stage) as outer_client:
        inner, outer = MeasuredCaller(inner_client), MeasuredCaller(outer_client)
        ways = {
            "hot, in a cell": partial(inner.whole, PROMPT),
            "hot": partial(outer.whole, PROMPT),
            "any, in a cell": partial(inner.whole, PROMPT, any_agent=True),
            "any": partial(outer.whole, PROMPT, any_agent=True),
        }
        return await in_turn(ways, pairs, warm_up=2, rest=rest)


if __name__ == "__main__":
    sys.exit(main())
