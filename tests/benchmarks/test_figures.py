"""What counts of a comparison, and when it is past its bound."""

import pytest

from benchmarks.report.figures import Comparison, Figure, p95


def test_a_ratio_is_the_median_of_the_pairs_without_the_floor() -> None:
    one = Comparison(name="a", rival_name="b", ours=[300, 350, 1300], rival=[500, 550, 500], floor=[290, 300, 310])
    assert one.ratio == pytest.approx(50 / 250)
    assert one.p95_ratio == pytest.approx(1000 / 250)


def test_a_p95_is_a_value_that_was_measured() -> None:
    assert p95(range(1, 101)) == 95
    assert p95([3, 1, 2]) == 3


@pytest.mark.parametrize(
    ("bounds", "is_held"),
    [
        ({}, True),
        ({"at_most": 0.5}, True),
        ({"at_most": 0.49}, False),
        ({"at_least": 0.5}, True),
        ({"at_least": 0.51}, False),
        ({"at_most": 0.5, "p95_at_most": 0.9}, False),
    ],
)
def test_a_comparison_is_held_to_each_of_its_bounds(bounds: dict[str, float], is_held: bool) -> None:
    one = Comparison(name="a", rival_name="b", ours=[1, 1, 2], rival=[2, 2, 2], **bounds)
    assert one.is_held is is_held


def test_a_figure_is_held_by_its_median() -> None:
    assert Figure(name="a", values=[1, 2, 9], at_most=2).is_held
    assert not Figure(name="a", values=[1, 3, 9], at_most=2).is_held
