"""What a benchmark found becomes results, plots and a page, each part anew by itself."""

from pathlib import Path

import pytest

from benchmarks.report.figures import Comparison, Curve, Figure, Line, Part, Point
from benchmarks.report.results import Findings, ResultsDirectory, page, publish


@pytest.fixture
def place(tmp_path: Path) -> ResultsDirectory:
    return ResultsDirectory(results=tmp_path / "results", images=tmp_path / "images", document=tmp_path / "PAGE.md")


def latency(ratio: float) -> Part:
    found = Findings(machine="a machine")
    found.comparisons = [Comparison(name="answer", rival_name="cli", ours=[100 * ratio], rival=[100], at_most=0.6)]
    found.figures = [Figure(name="memory", values=[5.0, 6.0], unit="MB")]
    return found.part("latency", "Answers", "What it is.")


def growth() -> Part:
    found = Findings(machine="a machine")
    lines = [Line(name="ours", points=[Point(x=1, values=[1, 2]), Point(x=10, values=[10])])]
    curve = Curve(name="callers", title="Callers", x_label="n", y_label="s", lines=lines, explanation="Why it grows.")
    found.curves = [curve]
    return found.part("growth", "Growth", "")


def test_parts_make_a_page_with_tables_and_plots(place: ResultsDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    assert publish(growth(), place) == 0
    assert publish(latency(0.5), place) == 0
    page = place.document.read_text()
    assert "| answer | 50 / 50 / 50 ms | cli | 100 / 100 / 100 ms | – | 1 | 0.50 | 0.50 | ≤ 0.6 | held |" in page
    assert page.index("## Answers") < page.index("## Growth")
    assert "Why it grows." in page
    for name in ("bench-latency", "bench-callers"):
        assert f"](images/{name}.png)" in page
        assert (place.images / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (place.images / f"{name}.svg").read_text()
    assert "a machine" in capsys.readouterr().out


def test_a_part_past_its_bound_says_so(place: ResultsDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    assert publish(latency(0.7), place) == 1
    assert "NOT HELD: answer, over cli" in capsys.readouterr().out
    assert "**not held**" in place.document.read_text()


def test_a_part_that_is_measured_again_takes_the_place_of_the_last(place: ResultsDirectory) -> None:
    publish(latency(0.7), place)
    publish(latency(0.4), place)
    page = place.document.read_text()
    assert "0.40" in page
    assert "0.70" not in page


def test_the_page_of_the_project_is_made_of_its_results() -> None:
    assert ResultsDirectory().document.read_text() == page(ResultsDirectory())
