from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from uuid import uuid4

from store.store import open_store

WRITER = """
import asyncio, sys, uuid
from store.store import open_store

async def main(url, run_id):
    async with open_store(url) as store:
        number = 0
        while True:
            for _ in range(20):
                store.journal.append(uuid.UUID(run_id), "said", str(number))
                number += 1
            await store.journal.flush()
            print(number, flush=True)
            for _ in range(20):
                store.journal.append(uuid.UUID(run_id), "said", str(number))
                number += 1

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_killed_writer_leaves_all_it_flushed_without_a_hole(
    database_url: str, spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    run_id = uuid4()
    flushed = await asyncio.to_thread(killed_after_flushes, spawn(WRITER, database_url, str(run_id)), 10)
    async with open_store(database_url) as store:
        store.journal.append(run_id, "said", "after the crash")
        await store.journal.flush()
        entries = await store.journal.read(run_id, limit=100_000)
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    bodies = [entry.body for entry in entries]
    assert bodies.pop() == "after the crash"
    assert len(bodies) >= flushed
    assert bodies == [str(number) for number in range(len(bodies))]


def killed_after_flushes(writer: subprocess.Popen[str], count: int) -> int:
    assert writer.stdout is not None
    lines = [writer.stdout.readline() for _ in range(count)]
    writer.kill()
    return int([*lines, *writer.stdout.read().splitlines()][-1])
