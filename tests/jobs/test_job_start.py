"""Our half of the benchmark of how soon a job starts, briefly."""

from __future__ import annotations

from typing import Any

from benchmarks.job_start import our_starts


async def test_a_start_is_told(service: Any) -> None:
    [start] = await our_starts(service.stage, 1)
    assert 0 < start.first_line < 60
    assert 0 < start.process < 60
