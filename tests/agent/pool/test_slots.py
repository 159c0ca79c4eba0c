import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.domain.errors import AgentBusy
from agent.pool.slots import Slot, Slots

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def lend(slots: Slots) -> AsyncIterator[Slot]:
    slot = await slots.acquire()
    try:
        yield slot
    finally:
        slots.release(slot)


async def turn() -> None:
    """Let everything that can run do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_slots_are_lent_in_the_order_they_were_asked_for() -> None:
    slots, order = Slots(1, Path("/slots")), []

    async def ask(name: int) -> None:
        async with lend(slots):
            order.append(name)
            await turn()

    await asyncio.gather(*(ask(number) for number in range(5)))
    assert order == [0, 1, 2, 3, 4]
    assert (slots.free, slots.waiting) == (1, 0)


async def test_each_slot_has_a_directory_of_its_own() -> None:
    slots = Slots(2, Path("/slots"))
    async with lend(slots) as one, lend(slots) as other:
        assert one.directory != other.directory
        assert slots.free == 0


async def test_who_waits_too_long_is_told_that_it_is_busy_and_leaves_the_line() -> None:
    slots = Slots(1, Path("/slots"))
    async with lend(slots):
        with pytest.raises(AgentBusy):
            await slots.acquire(wait_seconds=0.01)
        assert slots.waiting == 0
    assert slots.free == 1


async def test_a_slot_given_to_someone_who_left_goes_to_the_next() -> None:
    slots = Slots(1, Path("/slots"))
    held = await slots.acquire()
    leaver = asyncio.create_task(slots.acquire())
    stayer = asyncio.create_task(slots.acquire())
    await turn()
    slots.release(held)
    leaver.cancel()
    assert await asyncio.wait_for(stayer, 1) == held
    with pytest.raises(asyncio.CancelledError):
        await leaver


async def test_nobody_jumps_the_line() -> None:
    slots = Slots(1, Path("/slots"))
    held = await slots.acquire()
    first = asyncio.create_task(slots.acquire())
    await turn()
    slots.release(held)
    with pytest.raises(AgentBusy):
        await slots.acquire(wait_seconds=0.01)
    assert await first == held


async def test_a_second_release_is_refused_and_nobody_shares_the_slot() -> None:
    slots = Slots(1, Path("/slots"))
    slot = await slots.acquire()
    slots.release(slot)
    with pytest.raises(ValueError, match="released twice"):
        slots.release(slot)
    assert slots.all_free() == [slot]


async def test_a_slot_that_is_free_again_is_announced() -> None:
    announced: list[str] = []
    slots = Slots(1, Path("/slots"), on_released=lambda: announced.append("free"))
    held = await slots.acquire()
    waiter = asyncio.create_task(slots.acquire())
    await turn()
    slots.release(held)
    assert announced == []  # the waiting caller has it
    slots.release(await waiter)
    assert announced == ["free"]
