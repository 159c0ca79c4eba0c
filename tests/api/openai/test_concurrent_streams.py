"""Streams at once against the running service: `python -m benchmarks.cases.streams`, in brief."""

from benchmarks.cases.streams import GROWTH_BOUND_MIB, crowd_of
from demo.service import Stage


async def test_streams_at_once_are_whole_and_in_order_and_leave_nothing_in_memory(stage: Stage) -> None:
    crowd = await crowd_of(stage, count=3, capacity=1)
    assert crowd.faults == []
    assert crowd.complete == 3
    assert crowd.peak_mib - crowd.before_mib < GROWTH_BOUND_MIB
