"""Benchmark: the cost of more callers, longer prompts, longer answers and more events.

`python -m benchmarks.cases.growth` takes some twelve minutes; ROUNDS=1 measures each size once. Repositories are the
part `workspaces`, history is `history`.
"""

from __future__ import annotations

import asyncio
import os
import sys

from benchmarks.cases.latency import bare_cli
from benchmarks.harness.client import MODEL, at_rest, client_of
from benchmarks.harness.service import Scene, open_scene
from benchmarks.harness.sweep_runner import CAPACITY, LONG_MODEL, Sweeper
from benchmarks.harness.sweeps import RIVALS, SWEEPS, Sweep
from benchmarks.registry import TITLES
from benchmarks.report.figures import Curve, Line, Point
from benchmarks.report.results import Findings, publish
from benchmarks.rivals.bare_cli import BareCli
from benchmarks.timing import Way, in_turn

ROUNDS = 3
TEXT = """\
Each size is asked of the service and of the bare CLI in turn, medians as lines, each value a dot. Both axes are
logarithmic: a straight line that rises by a decade where the size does is a cost in proportion to it, a level one
is none."""


def main() -> int:
    """Measure, and publish; gives the exit status."""
    found = Findings()
    rounds = int(os.environ.get("ROUNDS", ROUNDS))
    with open_scene({"AGENT_CAPACITY": str(CAPACITY), "SUPPORTED_MODELS": f"{MODEL},{LONG_MODEL}"}) as scene:
        found.curves += asyncio.run(measure(scene, bare_cli(scene), SWEEPS, rounds))
    return publish(found.part("growth", TITLES["growth"], TEXT))


async def measure(scene: Scene, bare: BareCli, sweeps: tuple[Sweep, ...], rounds: int) -> list[Curve]:
    """One curve a sweep."""
    async with client_of(scene.stage) as client:
        sweeper = Sweeper(scene, client, bare)
        await sweeper.warm_up()
        return [await follow(sweep, sweeper, rounds) for sweep in sweeps]


async def follow(sweep: Sweep, sweeper: Sweeper, rounds: int) -> Curve:
    """All sizes of a sweep, ours and its rivals in turn."""
    points: dict[str, list[Point]] = {}
    for size in sweep.sizes:
        ways: dict[str, Way] = sweep.ways(sweeper, size)
        often = 1 if size >= sweep.once_from else rounds
        measured = await in_turn(ways, often, warm_up=0, rest=lambda: at_rest(sweeper.scene.stage), restful=RIVALS)
        for name, timings in measured.items():
            values = [timing.whole / 1000 for timing in timings]
            points.setdefault(name, []).append(Point(x=size, values=values))
        print(f"{sweep.name} {size}: " + ", ".join(f"{name} {line[-1].values}" for name, line in points.items()))
    return Curve(
        name=sweep.name,
        title=sweep.title,
        x_label=sweep.x_label,
        y_label="seconds",
        lines=[Line(name=name, points=line) for name, line in points.items()],
        explanation=sweep.explanation,
    )


if __name__ == "__main__":
    sys.exit(main())
