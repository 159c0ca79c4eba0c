"""A small burst of what `benchmarks.cases.execute_burst` measures at length."""

from __future__ import annotations

from typing import Any

from benchmarks.cases.execute_burst import burst


async def test_of_jobs_asked_for_at_once_each_is_accepted_or_told_to_come_back(service: Any) -> None:
    codes, broken = await burst(service.stage, 3)
    assert broken == []
    assert codes[202] == 3
