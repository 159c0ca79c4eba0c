"""What a host would like to have ready: pure policy, from what has been asked for lately."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.models import Frozen
from agent.mold import Mold


class Wish(Frozen):
    """A process to have ready: a hot one for this mold alone, or a spare for any agent."""

    mold: Mold
    hot: bool


def wishes(often: Mapping[Mold, int], spares: Sequence[Mold], most: int) -> list[Wish]:
    """At most so many, the most useful first: each mold once, the spares, then each as often as it ran at once.

    Half of them at most are spares, and half are each mold's first, where there is enough of both.
    """
    deepest = max(often.values(), default=0)
    hot = [Wish(mold=mold, hot=True) for depth in range(deepest) for mold, at_once in often.items() if depth < at_once]
    for_any = [Wish(mold=mold, hot=False) for mold in spares]
    taken = for_any[: max(most // 2, most - len(hot))]
    hot = hot[: max(0, most - len(taken))]
    once = hot[: len(often)]
    return [*once, *taken, *hot[len(once) :]]
