"""A cancellation reaches the flow's own work, once, and never what comes before or after it."""

from __future__ import annotations

import asyncio

import pytest

from tasks.cancellation import Cancellation

pytestmark = pytest.mark.anyio


async def test_it_breaks_off_what_is_under_way_and_comes_once() -> None:
    cancellation = Cancellation()
    asyncio.get_running_loop().call_soon(cancellation.ask)
    with pytest.raises(asyncio.CancelledError), cancellation.heeded():
        await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    task.uncancel()
    cancellation.ask()
    await asyncio.sleep(0)
    assert cancellation.asked


async def test_one_that_came_before_the_work_ends_it_at_its_first_step() -> None:
    cancellation = Cancellation()
    cancellation.ask()
    with pytest.raises(asyncio.CancelledError), cancellation.heeded():
        await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    task.uncancel()


async def test_one_that_comes_after_the_work_is_only_remembered() -> None:
    cancellation = Cancellation()
    with cancellation.heeded():
        await asyncio.sleep(0)
    cancellation.ask()
    await asyncio.sleep(0)
    assert cancellation.asked
