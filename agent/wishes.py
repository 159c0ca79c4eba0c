"""What a host would like to have ready: pure policy, from what has been asked for lately."""

from __future__ import annotations

from collections.abc import Mapping

from agent.models import Frozen
from agent.mold import Mold


class Wish(Frozen):
    """A process to have ready: a hot one for this mold alone, or a spare for any agent."""

    mold: Mold
    hot: bool


def wishes(lately: Mapping[Mold, int], spare: Mold | None, most: int) -> list[Wish]:
    """At most so many, the most useful first: each mold once, a spare, then each as often as it was at work at once."""
    spares = [Wish(mold=spare, hot=False)] if spare is not None and most > 1 else []
    room = max(0, most - len(spares))
    deepest = max(lately.values(), default=0)
    hot = [
        Wish(mold=mold, hot=True) for depth in range(deepest) for mold, at_once in lately.items() if depth < at_once
    ][:room]
    once = hot[: len(lately)]
    return [*once, *spares, *hot[len(once) :]]
