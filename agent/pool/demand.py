"""What has been asked for lately, and how much of it at once."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from agent.claude.process_spec import ProcessSpec
from agent.domain.errors import AgentUnknown
from agent.domain.values import Frozen

MOST = 64
"""So many molds are remembered: callers choose them."""

OFTEN = 2
"""Asked for so often, it will be asked for again."""

_REMEMBERED = 256


def _few() -> deque[tuple[float, int]]:
    return deque(maxlen=_REMEMBERED)


@dataclass
class _Use:
    """When runs of a mold began, and how many were at work, as they began and ended."""

    at_work: int = 0
    begun: deque[tuple[float, int]] = field(default_factory=_few)
    peaks: deque[tuple[float, int]] = field(default_factory=_few)


class Demand:
    """Remembers for `window_seconds` which molds runs were of."""

    def __init__(self, window_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._window_seconds = window_seconds
        self._clock = clock
        self._uses: OrderedDict[ProcessSpec, _Use] = OrderedDict()
        self.standing: list[ProcessSpec] = []
        """Wanted once each even if nobody has asked yet."""

    @contextmanager
    def met(self, mold: ProcessSpec) -> Iterator[None]:
        """A run of that mold is at work while this is open."""
        use = self._uses.setdefault(mold, _Use())
        self._uses.move_to_end(mold)
        use.at_work += 1
        use.begun.append((self._clock(), 1))
        use.peaks.append((self._clock(), use.at_work))
        if len(self._uses) > MOST:
            self._uses.popitem(last=False)
        try:
            yield
        except AgentUnknown:  # nobody shall have the host make ready what there is not
            self._uses.pop(mold, None)
            raise
        finally:
            use.at_work -= 1
            use.peaks.append((self._clock(), use.at_work + 1))

    def lately(self) -> list[ProcessSpec]:
        """Each mold that was at work within the window, the newest first, and what is expected."""
        self._forget()
        return [*reversed(self._uses), *(mold for mold in self.standing if mold not in self._uses)]

    def often(self) -> dict[ProcessSpec, int]:
        """Those of them that were asked for more than once, or are expected, and how often at once at most."""
        self._forget()
        found = {
            mold: max([use.at_work, *(peak for _, peak in use.peaks)])
            for mold, use in reversed(self._uses.items())
            if len(use.begun) >= OFTEN or mold in self.standing
        }
        return found | {mold: 1 for mold in self.standing if mold not in found}

    def _forget(self) -> None:
        horizon = self._clock() - self._window_seconds
        for mold, use in list(self._uses.items()):
            for moments in (use.begun, use.peaks):
                while moments and moments[0][0] < horizon:
                    moments.popleft()
            if not use.peaks and not use.at_work:
                del self._uses[mold]


class WarmTarget(Frozen):
    """A process to have ready: a hot one for this mold alone, or a spare for any agent."""

    mold: ProcessSpec
    hot: bool


def warm_targets(often: Mapping[ProcessSpec, int], spares: Sequence[ProcessSpec], most: int) -> list[WarmTarget]:
    """At most so many, the most useful first: each mold once, the spares, then each as often as it ran at once.

    Half of them at most are spares, and half are each mold's first, where there is enough of both.
    """
    deepest = max(often.values(), default=0)
    hot = [
        WarmTarget(mold=mold, hot=True)
        for depth in range(deepest)
        for mold, at_once in often.items()
        if depth < at_once
    ]
    for_any = [WarmTarget(mold=mold, hot=False) for mold in spares]
    taken = for_any[: max(most // 2, most - len(hot))]
    hot = hot[: max(0, most - len(taken))]
    once = hot[: len(often)]
    return [*once, *taken, *hot[len(once) :]]
