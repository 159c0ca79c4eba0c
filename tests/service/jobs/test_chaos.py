"""A short run of `make chaos`, always the same one."""

from __future__ import annotations

from typing import Any

from benchmarks.chaos.arena import Arena
from benchmarks.chaos.chaos import Chaos


async def test_every_invariant_holds_whatever_is_killed(arena: Arena, victim: Any) -> None:
    assert await Chaos(arena, victim.model, runs=4, kills=1, seed=5).run() == []
