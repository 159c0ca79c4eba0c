"""Turns: one after the other, among all processes."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable

from store.store import open_store

HOLDER = """
import asyncio, sys
from store.store import open_store

async def main(url):
    async with open_store(url) as store, store.locks.acquire("one"):
        print("mine", flush=True)
        await asyncio.sleep(600)

asyncio.run(main(sys.argv[1]))
"""


async def test_two_hosts_take_turns(database_url: str) -> None:
    said: list[str] = []

    async def host(name: str) -> None:
        async with open_store(database_url) as store, store.locks.acquire("one"):
            said.append(f"{name} begins")
            await asyncio.sleep(0.05)
            said.append(f"{name} ends")

    await asyncio.gather(*(host(name) for name in "abc"))
    assert [line[2:] for line in said] == ["begins", "ends"] * 3
    assert all(said[at][0] == said[at + 1][0] for at in (0, 2, 4))


async def test_a_turn_holds_up_no_other_work(database_url: str) -> None:
    async with (
        open_store(database_url) as store,
        asyncio.timeout(10),
        store.locks.acquire("one"),
        store.locks.acquire("two"),
    ):
        assert await store.inputs.load(await store.inputs.save("a text")) == "a text"


async def test_who_dies_in_its_turn_gives_it_back(
    database_url: str, spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    holder = spawn(HOLDER, database_url)
    assert holder.stdout is not None
    assert await asyncio.to_thread(holder.stdout.readline) == "mine\n"
    async with open_store(database_url) as store:
        taken = asyncio.Event()

        async def take() -> None:
            async with store.locks.acquire("one"):
                taken.set()

        waiting = asyncio.create_task(take())
        await asyncio.wait({waiting}, timeout=0.3)
        assert not taken.is_set()
        holder.kill()
        await asyncio.wait_for(waiting, 20)
