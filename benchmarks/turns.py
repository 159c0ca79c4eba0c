"""Measures several ways of doing the same in turn, so that whatever the machine does besides meets them all."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

Measured = dict[str, list["Timing"]]


@dataclass(frozen=True)
class Timing:
    """Of one answer, in milliseconds since it was asked for."""

    first: float
    whole: float


Way = Callable[[], Awaitable[Timing]]


class Stopwatch:
    """Runs from its making; `first` counts once."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._first: float | None = None

    @property
    def milliseconds(self) -> float:
        """Since the beginning."""
        return 1000 * (time.perf_counter() - self._began)

    def first(self) -> None:
        """The first content is there."""
        if self._first is None:
            self._first = self.milliseconds

    def stop(self) -> Timing:
        """The answer is whole; without a first content before, it came with the whole."""
        whole = self.milliseconds
        return Timing(whole if self._first is None else self._first, whole)


async def in_turn(
    ways: Mapping[str, Way],
    rounds: int,
    *,
    warm_up: int = 1,
    rest: Callable[[], Awaitable[None]] | None = None,
) -> Measured:
    """Each way once a round, each round begun by another, after a `rest`; what the first rounds give is not counted."""
    measured: Measured = {name: [] for name in ways}
    names = list(ways)
    for number in range(warm_up + rounds):
        begin = number % len(names)
        for name in (*names[begin:], *names[:begin]):
            if rest is not None:
                await rest()
            timing = await ways[name]()
            if number >= warm_up:
                measured[name].append(timing)
    return measured


def firsts(timings: list[Timing]) -> list[float]:
    """Milliseconds to the first content of each."""
    return [timing.first for timing in timings]


def wholes(timings: list[Timing]) -> list[float]:
    """Milliseconds to the end of each."""
    return [timing.whole for timing in timings]
