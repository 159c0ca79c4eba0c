"""A short run of `make chaos`, always the same one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.chaos.arena import Arena, open_arena
from benchmarks.chaos.chaos import Chaos

pytestmark = pytest.mark.anyio


async def test_every_invariant_holds_whatever_is_killed_deleted_and_forgotten(arena: Arena, victim: Any) -> None:
    assert await Chaos(arena, victim.model, 5, ["deleted", "leases", "host"], seed=5).run() == []


@pytest.mark.long
async def test_every_invariant_holds_whatever_answers_in_prefect_s_place(offline_model: Any, tmp_path: Path) -> None:
    kinds = ["answers", "websockets", "disk", "prefect", "second host", "answers", "both"]
    with open_arena(tmp_path, offline_model.url, {"AGENT_CAPACITY": "2"}, with_proxy=True) as arena:
        assert await Chaos(arena, offline_model, 14, kinds, seed=5).run() == []
