"""The long benchmarks, with as little of everything as there can be."""

import asyncio
from collections.abc import Iterator

import pytest

from benchmarks.cases.footprint import compare_runs
from benchmarks.cases.growth import measure as measure_growth
from benchmarks.cases.history import measure as measure_history
from benchmarks.cases.latency import bare_cli, compare, measure
from benchmarks.harness import job_history as past
from benchmarks.harness import sweeps
from benchmarks.harness.client import MODEL
from benchmarks.harness.concurrent_callers import compare_crowds
from benchmarks.harness.event_loop_lag import lags
from benchmarks.harness.service import Scene, open_scene
from benchmarks.harness.sweep_runner import LONG_MODEL
from benchmarks.report.figures import Comparison
from benchmarks.report.results import Findings
from benchmarks.rivals.old_way import old_way

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with open_scene({"AGENT_CAPACITY": "2", "SUPPORTED_MODELS": f"{MODEL},{LONG_MODEL}"}) as scene:
        yield scene


def test_latency_compares_with_everybody(scene: Scene) -> None:
    bare = bare_cli(scene)
    with old_way(bare) as url:
        measured = asyncio.run(measure(scene, bare, url, 0, 1))
    rows = compare(measured, "at once")
    assert {row.rival_name for row in rows} >= {"claude -p, json", "the old way", "the SDK's query()"}
    assert all(row.ratio > 0 for row in rows)


def test_crowds_are_compared(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.harness.concurrent_callers.SUSTAINED_CALLERS", 2)
    (burst, load), refused = asyncio.run(compare_crowds(scene, bare_cli(scene), 1))
    assert burst.ratio > 0
    assert load.ratio > 0
    assert refused.values[0] >= 0


def test_growth_follows_each_sweep(scene: Scene) -> None:
    smallest = tuple(
        sweeps.Sweep(one.name, one.title, one.x_label, one.sizes[:1], one.ways, one.explanation)
        for one in sweeps.SWEEPS
    )
    curves = asyncio.run(measure_growth(scene, bare_cli(scene), smallest, 1))
    assert [curve.name for curve in curves] == ["callers", "prompts", "answers", "events"]
    assert all(line.points for curve in curves for line in curve.lines)


def test_history_and_footprint_are_measured(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Findings(machine="")
    one, other = past.Past(scene.stage), past.Past(scene.stage)
    monkeypatch.setattr("benchmarks.cases.history.LOOK_UPS", 8)
    asyncio.run(measure_history(found, one, scene.stage, other, scene.stage, 4, 1))
    found.comparisons += asyncio.run(compare_runs(scene, bare_cli(scene), 1))
    found.figures += asyncio.run(lags(scene, 2, rounds=1))
    assert all(isinstance(row, Comparison) and row.ratio > 0 for row in found.comparisons)
    assert len(found.figures) == 4
