"""The states of slots: what is prepared there, and what is still ending there."""

import asyncio
from pathlib import Path
from typing import cast

from agent.pool.slot_states import SlotStates
from agent.pool.slots import Slots
from agent.pool.warm_process import WarmProcess


class SlowProcess:
    """A process that ends when it is told to."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()

    async def close(self) -> None:
        await self.may_end.wait()


async def test_a_checkout_waits_until_a_discarded_process_can_no_longer_write_into_it(tmp_path: Path) -> None:
    (slot,) = Slots(1, tmp_path).all_free()
    states = SlotStates([slot])
    state, process = states.of(slot), SlowProcess()
    state.process = cast(WarmProcess, process)
    states.discard(state)
    waiting = asyncio.create_task(state.wait_closed())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert state.process is None
    assert not waiting.done()
    process.may_end.set()
    await waiting
    await state.wait_closed()
