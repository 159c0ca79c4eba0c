"""Counts which process specs were requested recently, and says how many warm processes to aim for."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from agent.claude.process_spec import ProcessSpec
from agent.domain.errors import AgentUnknown
from agent.domain.values import Frozen

MAX_SPECS = 64
"""The most specs that are remembered. Callers choose them, so there must be a bound."""

FREQUENT_RUNS = 2
"""A spec that was requested this often is expected again; a process for a single request would be wasted."""

_MAX_RECORDS = 256  # of one spec: enough to know its peak within the window


def _records() -> deque[tuple[float, int]]:
    return deque(maxlen=_MAX_RECORDS)


@dataclass
class _Use:
    """The runs of one spec: when they began, and how many ran at once as they began and ended."""

    running: int = 0
    begun: deque[tuple[float, int]] = field(default_factory=_records)
    peaks: deque[tuple[float, int]] = field(default_factory=_records)


class Demand:
    """The specs of the runs of the last `window_seconds`; one per host, in memory."""

    def __init__(self, window_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._window_seconds = window_seconds
        self._clock = clock
        self._uses: OrderedDict[ProcessSpec, _Use] = OrderedDict()

    @contextmanager
    def record(self, spec: ProcessSpec) -> Iterator[None]:
        """Count a run of that spec as running while this is open."""
        use = self._uses.setdefault(spec, _Use())
        self._uses.move_to_end(spec)
        use.running += 1
        use.begun.append((self._clock(), 1))
        use.peaks.append((self._clock(), use.running))
        if len(self._uses) > MAX_SPECS:
            self._uses.popitem(last=False)
        try:
            yield
        except AgentUnknown:  # a misspelt agent must not make the host prepare processes for it
            self._uses.pop(spec, None)
            raise
        finally:
            use.running -= 1
            use.peaks.append((self._clock(), use.running + 1))

    def recent(self, always: Sequence[ProcessSpec] = ()) -> list[ProcessSpec]:
        """Return each spec that ran within the window, the newest first, then those of `always`."""
        self._forget()
        return [*reversed(self._uses), *(spec for spec in always if spec not in self._uses)]

    def frequent(self, always: Sequence[ProcessSpec] = ()) -> dict[ProcessSpec, int]:
        """Return the specs of more than one run, and those of `always`, with the most that ran at once."""
        self._forget()
        found = {
            spec: max([use.running, *(peak for _, peak in use.peaks)])
            for spec, use in reversed(self._uses.items())
            if len(use.begun) >= FREQUENT_RUNS or spec in always
        }
        return found | {spec: 1 for spec in always if spec not in found}

    def _forget(self) -> None:
        horizon = self._clock() - self._window_seconds
        for spec, use in list(self._uses.items()):
            for records in (use.begun, use.peaks):
                while records and records[0][0] < horizon:
                    records.popleft()
            if not use.peaks and not use.running:
                del self._uses[spec]


class WarmTarget(Frozen):
    """A process to keep ready: a hot one for this spec alone, or a spare that any agent can claim."""

    spec: ProcessSpec
    hot: bool


def warm_targets(frequent: Mapping[ProcessSpec, int], spares: Sequence[ProcessSpec], most: int) -> list[WarmTarget]:
    """Return at most `most` targets, the most useful first: each spec once, the spares, then each spec's peak.

    At most half of them are spares, and half are each spec's first, where there are enough of both.
    """
    peak = max(frequent.values(), default=0)
    hot = [
        WarmTarget(spec=spec, hot=True)
        for depth in range(peak)
        for spec, at_once in frequent.items()
        if depth < at_once
    ]
    any_agent = [WarmTarget(spec=spec, hot=False) for spec in spares]
    chosen = any_agent[: max(most // 2, most - len(hot))]
    hot = hot[: max(0, most - len(chosen))]
    first = hot[: len(frequent)]
    return [*first, *chosen, *hot[len(first) :]]
