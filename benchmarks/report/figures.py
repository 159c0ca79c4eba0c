"""The findings of a benchmark: figures, ours beside a rival's, and curves; all that BENCHMARKS.md shows of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from datetime import datetime

from pydantic import Field

from agent.domain.values import Frozen

P95 = 0.95


def p95(values: Sequence[float]) -> float:
    """The value that 95 of 100 do not exceed: one that was measured, the largest where there are less than twenty."""
    return sorted(values)[math.ceil(P95 * len(values)) - 1]


class Comparison(Frozen):
    """Ours and a rival's, measured in turn in one run: `ours[i]` and `rival[i]` are a pair, `floor[i]` is of its round.

    What counts is the median of the pairs' ratios, each less the floor: noise that both meet moves it least.
    """

    name: str
    rival_name: str
    ours: list[float] = Field(min_length=1)
    rival: list[float] = Field(min_length=1)
    floor: list[float] = []
    unit: str = "ms"
    at_most: float | None = Field(default=None, description="The bound of the ratio, where less is better.")
    at_least: float | None = Field(default=None, description="The bound of the ratio, where more is better.")
    p95_at_most: float | None = Field(default=None, description="The bound of the ratio of both sides' p95.")
    reach: float | None = Field(default=None, description="The ratio that we would like to see.")

    @property
    def ratio(self) -> float:
        """Ours over the rival's."""
        return statistics.median(
            one / other for one, other in zip(self.less_floor(self.ours), self.less_floor(self.rival), strict=True)
        )

    @property
    def p95_ratio(self) -> float:
        """The p95 of ours over the p95 of the rival's."""
        return p95(self.less_floor(self.ours)) / p95(self.less_floor(self.rival))

    def less_floor(self, values: list[float]) -> list[float]:
        """The values without the model's own time, which is the same for everybody: the median of the floors."""
        return [value - statistics.median(self.floor) for value in values] if self.floor else values

    @property
    def is_held(self) -> bool:
        """Whether the ratios keep to their bounds."""
        return (
            (self.at_most is None or self.ratio <= self.at_most)
            and (self.at_least is None or self.ratio >= self.at_least)
            and (self.p95_at_most is None or self.p95_ratio <= self.p95_at_most)
        )

    @property
    def bound(self) -> str:
        """The bounds in a few words; empty where there are none."""
        words = [
            f"≤ {self.at_most:g}" if self.at_most is not None else "",
            f"≥ {self.at_least:g}" if self.at_least is not None else "",
            f"p95 ≤ {self.p95_at_most:g}" if self.p95_at_most is not None else "",
        ]
        return ", ".join(filter(None, words))


class Figure(Frozen):
    """Something measured that has no rival, or is one: its values, all of them."""

    name: str
    values: list[float] = Field(min_length=1)
    unit: str = "ms"
    at_most: float | None = Field(default=None, description="The bound of the median.")

    @property
    def is_held(self) -> bool:
        """Whether the median keeps to its bound."""
        return self.at_most is None or statistics.median(self.values) <= self.at_most


class Point(Frozen):
    """What was measured at one size."""

    x: float
    values: list[float] = Field(min_length=1)


class Line(Frozen):
    """One way of doing it, over all sizes."""

    name: str
    points: list[Point]


class Curve(Frozen):
    """How a cost grows with the work; `explanation` is one sentence of why it does so."""

    name: str = Field(pattern=r"[a-z-]+", description="The name of the plot's files.")
    title: str
    x_label: str
    y_label: str
    lines: list[Line]
    explanation: str

    @property
    def plot(self) -> str:
        """The name of its plot's files, without a suffix."""
        return f"bench-{self.name}"


class Part(Frozen):
    """What one benchmark found, when, and on what."""

    name: str
    title: str
    text: str = ""
    measured_at: datetime
    seconds: float
    machine: str
    comparisons: list[Comparison] = []
    figures: list[Figure] = []
    curves: list[Curve] = []
    printed: str = Field(default="", description="What it printed, where it has no figures of this kind.")
    is_held: bool = True

    @property
    def plot(self) -> str:
        """The name of the files of its comparisons' plot, without a suffix."""
        return f"bench-{self.name.replace('_', '-')}"

    @property
    def broken(self) -> list[str]:
        """The names of what is past its bound."""
        broken = [f"{one.name}, over {one.rival_name}" for one in self.comparisons if not one.is_held]
        return broken + [one.name for one in self.figures if not one.is_held]
