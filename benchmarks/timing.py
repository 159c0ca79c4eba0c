"""Measures several ways of doing the same in turn, so that whatever the machine does besides meets them all."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Mapping
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
    restful: Collection[str] = (),
) -> Measured:
    """Each way once a round, each round begun by another; what the first rounds give is not counted.

    There is a `rest` before the first, and after each but the `restful` ones, which leave nothing to come to rest.
    """
    measured: Measured = {name: [] for name in ways}
    names = list(ways)
    if rest is not None:
        await rest()
    for number in range(warm_up + rounds):
        begin = number % len(names)
        for name in (*names[begin:], *names[:begin]):
            timing = await ways[name]()
            if number >= warm_up:
                measured[name].append(timing)
            if rest is not None and name not in restful:
                await rest()
    return measured


def firsts(timings: list[Timing]) -> list[float]:
    """Milliseconds to the first content of each."""
    return [timing.first for timing in timings]


def wholes(timings: list[Timing]) -> list[float]:
    """Milliseconds to the end of each."""
    return [timing.whole for timing in timings]
