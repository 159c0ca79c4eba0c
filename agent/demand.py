"""What has been asked for lately, and how much of it at once."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from agent.errors import AgentUnknown
from agent.mold import Mold

MOST = 64
"""So many molds are remembered: callers choose them."""


@dataclass
class _Use:
    at_work: int = 0
    peaks: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=256))


class Demand:
    """Remembers for `window_seconds` which molds runs were of."""

    def __init__(self, window_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._window_seconds = window_seconds
        self._clock = clock
        self._uses: OrderedDict[Mold, _Use] = OrderedDict()
        self.standing: list[Mold] = []
        """Wanted once each even if nobody has asked yet."""

    @contextmanager
    def met(self, mold: Mold) -> Iterator[None]:
        """A run of that mold is at work while this is open."""
        use = self._uses.setdefault(mold, _Use())
        self._uses.move_to_end(mold)
        use.at_work += 1
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

    def lately(self) -> dict[Mold, int]:
        """Each mold that was at work within the window, the newest first, and how often at once at most."""
        horizon = self._clock() - self._window_seconds
        found = {}
        for mold, use in reversed(list(self._uses.items())):
            while use.peaks and use.peaks[0][0] < horizon:
                use.peaks.popleft()
            if use.peaks or use.at_work:
                found[mold] = max([use.at_work, *(peak for _, peak in use.peaks)])
            else:
                del self._uses[mold]
        for mold in self.standing:
            found.setdefault(mold, 1)
        return found
