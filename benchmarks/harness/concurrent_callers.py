"""Many callers at once, beside as many processes of the bare CLI."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from benchmarks.harness.client import MeasuredCaller, at_rest, client_of, parked, prompt_of
from benchmarks.harness.service import Scene
from benchmarks.report.figures import Comparison, Figure
from benchmarks.rivals.bare_cli import BareCli

SUSTAINED_CALLERS = 8
ASKED_EACH = 2
UNIT = "answers/s"

Ask = Callable[[str], Awaitable[object]]


async def compare_crowds(scene: Scene, bare: BareCli, rounds: int) -> tuple[list[Comparison], Figure]:
    """A burst of as many callers as CLIs are parked, and a sustained load; and how many had to ask again."""
    async with client_of(scene.stage) as client:
        caller = MeasuredCaller(client)
        capacity = (await client.get("/health")).json()["capacity"]["agents"]
        await rate(caller.patient, capacity, 1)  # so many at once it has to have seen
        await at_rest(scene.stage)
        waiting = await parked(client)
        callers = waiting or capacity
        bursts = [await burst_pair(scene, caller, bare, callers) for _ in range(rounds)]
        loads = [await load_pair(scene, caller, bare) for _ in range(rounds)]
    refused = Figure(name="of those callers, told to come again (503)", values=[caller.refused], unit="", at_most=0)
    comparisons = [
        Comparison(
            name=f"a burst of {callers} callers, {waiting} CLIs parked",
            rival_name="as many claude -p at once",
            ours=[ours for ours, _ in bursts],
            rival=[rival for _, rival in bursts],
            unit=UNIT,
            at_least=1.5,
        ),
        Comparison(
            name=f"{SUSTAINED_CALLERS} callers, each asking again",
            rival_name="as many claude -p, each started again",
            ours=[ours for ours, _ in loads],
            rival=[rival for _, rival in loads],
            unit=UNIT,
            at_least=0.6,
        ),
    ]
    return comparisons, refused


async def burst_pair(scene: Scene, caller: MeasuredCaller, bare: BareCli, callers: int) -> tuple[float, float]:
    """Answers a second: ours, from a service at rest, and the bare CLI's."""
    await at_rest(scene.stage)
    ours = await rate(caller.patient, callers, 1)
    await at_rest(scene.stage)
    return ours, await rate(bare.whole, callers, 1)


async def load_pair(scene: Scene, caller: MeasuredCaller, bare: BareCli) -> tuple[float, float]:
    """Answers a second while everybody asks again: ours, and the bare CLI's."""
    await at_rest(scene.stage)
    ours = await rate(caller.patient, SUSTAINED_CALLERS, ASKED_EACH)
    await at_rest(scene.stage)
    return ours, await rate(bare.whole, SUSTAINED_CALLERS, ASKED_EACH)


async def rate(ask: Ask, callers: int, each: int) -> float:
    """Answers a second of so many callers at once, each asking so often."""
    began = time.perf_counter()
    await asyncio.gather(*(_ask_often(ask, each) for _ in range(callers)))
    return callers * each / (time.perf_counter() - began)


async def _ask_often(ask: Ask, times: int) -> None:
    for _ in range(times):
        await ask(prompt_of())
