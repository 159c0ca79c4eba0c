"""The benchmarks run, in brief; their bounds on time are for `make bench`, which has the machine for itself."""

import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import UNKNOWN, main
from benchmarks.cases import workspaces
from benchmarks.cases.workspaces import Measure, judge, measure_size
from benchmarks.harness.service import asked_settings
from benchmarks.registry import TITLES
from benchmarks.report.results import Findings, ResultsDirectory

ROOT = Path(__file__).parents[2]


async def test_what_a_slot_fetches_and_writes_follows_the_change_whatever_the_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspaces, "CHANGES", (1, 30, 400))  # more than the smaller one has
    monkeypatch.setattr(workspaces, "ROUNDS", 1)
    monkeypatch.setattr(workspaces, "BOUND", float("inf"))
    measures: list[Measure] = []
    for size in (100, 1000):
        (tmp_path / str(size)).mkdir()
        await measure_size(tmp_path / str(size), size, measures)
    assert [(one.files, one.changed) for one in measures] == [(100, 1), (100, 30), (1000, 1), (1000, 30), (1000, 400)]
    assert judge(measures) == []


def test_a_benchmark_past_its_bound_says_so() -> None:
    good = Measure(50_000, 1, 0.1, 0.1, 10.0, 2000, 1, 100, 1000)
    slow = Measure(50_000, 1, 1.0, 0.1, 10.0, 2000, 1, 100, 1000)
    whole = Measure(50_000, 20, 0.1, 0.1, 10.0, 5_000_000, 50_000, 100, 1000)
    assert judge([good]) == []
    assert judge([slow]) == ["NOT HELD: 50000 files, 1 changed: ratio 0.110"]
    assert [line.split(": ")[2] for line in judge([good, whole])] == ["50000 files written", "5000000 bytes fetched"]


def test_benchmarks_are_known_by_the_names_of_their_modules(capsys: pytest.CaptureFixture[str]) -> None:
    assert all((ROOT / "benchmarks" / "cases" / f"{name}.py").exists() for name in TITLES)
    assert main(["nothing"]) == UNKNOWN
    assert f"there are: {', '.join(TITLES)}" in capsys.readouterr().err


def test_one_that_fails_fails_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    place = ResultsDirectory(tmp_path / "results", tmp_path / "images", tmp_path / "PAGE.md")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert main(["workspaces"], place) == 1
    assert capfd.readouterr().err == "failed: workspaces\n"
    monkeypatch.setattr(sys, "executable", "/bin/true")
    assert main(["workspaces"], place) == 0


def test_what_one_without_figures_prints_is_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = ResultsDirectory(tmp_path / "results", tmp_path / "images", tmp_path / "PAGE.md")
    monkeypatch.setattr(sys, "executable", "/bin/echo")
    assert main(["streams"], place) == 0
    assert "```\n-m benchmarks.cases.streams\n```" in place.document.read_text()


def test_the_service_under_test_can_be_set_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETTINGS", "AGENT_WARM=0 GIT_AUTHOR_NAME=Bench")
    assert asked_settings() == {"AGENT_WARM": "0", "GIT_AUTHOR_NAME": "Bench"}
    assert Findings().machine.endswith(", with AGENT_WARM=0 GIT_AUTHOR_NAME=Bench")
