"""Our half of the benchmark of how soon a job starts, briefly."""

from __future__ import annotations

from typing import Any

from benchmarks.cases.job_start import our_start


async def test_a_start_is_told(service: Any) -> None:
    first_line, process = await our_start(service.stage)
    assert 0 < first_line < 60_000
    assert 0 < process < 60_000
