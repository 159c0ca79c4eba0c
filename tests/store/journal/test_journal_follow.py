from __future__ import annotations

import asyncio
import random
import subprocess
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from store.journal.entry import Entry
from store.journal.followers import OFFERED_CHARACTERS, JournalFollower
from store.journal.journal import Journal
from store.store import Store, open_store


async def collect(journal: Journal, run_id: UUID, count: int, after: int = 0) -> list[Entry]:
    entries: list[Entry] = []
    async with asyncio.timeout(15), aclosing(journal.follow(run_id, after)) as events:
        async for entry in events:
            entries.append(entry)
            if len(entries) == count:
                break
    return entries


async def test_a_follower_gets_what_is_written_and_then_what_comes(store: Store) -> None:
    run_id = uuid4()
    for number in range(250):
        store.journal.append(run_id, "said", str(number))
    await store.journal.flush()
    following = asyncio.create_task(collect(store.journal, run_id, 300))
    for number in range(250, 300):
        await asyncio.sleep(0.001)
        store.journal.append(run_id, "said", str(number))
    entries = await following
    assert [entry.seq for entry in entries] == list(range(1, 301))
    assert [entry.body for entry in entries] == [str(number) for number in range(300)]


@pytest.mark.parametrize("seed", range(3))
async def test_a_reader_cut_off_anywhere_has_each_event_once(database_url: str, seed: int) -> None:
    dice, run_id, total = random.Random(seed), uuid4(), 400
    async with open_store(database_url) as writer, open_store(database_url) as elsewhere:

        async def write() -> None:
            for number in range(total):
                writer.journal.append(run_id, "said", str(number))
                if dice.random() < 0.1:
                    await asyncio.sleep(dice.random() * 0.02)

        writing = asyncio.create_task(write())
        seen: list[Entry] = []
        while len(seen) < total:
            journal = dice.choice((writer, elsewhere)).journal
            count = dice.randint(1, min(90, total - len(seen)))
            seen += await collect(journal, run_id, count, after=seen[-1].seq if seen else 0)
        await writing
    assert [entry.seq for entry in seen] == list(range(1, total + 1))
    assert [entry.body for entry in seen] == [str(number) for number in range(total)]


WRITER = """
import asyncio, sys, uuid
from store.store import open_store

async def main(url, run_id):
    async with open_store(url) as store:
        for number in range(300):
            store.journal.append(uuid.UUID(run_id), "said", str(number))
            await asyncio.sleep(0.001)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_follower_sees_what_another_process_writes(
    store: Store, database_url: str, spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    run_id = uuid4()
    following = asyncio.create_task(collect(store.journal, run_id, 300))
    spawn(WRITER, database_url, str(run_id))
    assert [entry.body for entry in await following] == [str(number) for number in range(300)]


async def test_followers_of_one_run_do_not_disturb_each_other(store: Store) -> None:
    run_id = uuid4()
    following = [asyncio.create_task(collect(store.journal, run_id, count)) for count in (1, 50, 50)]
    for _ in range(50):
        store.journal.append(run_id, "said", "x")
        await asyncio.sleep(0)
    assert [len(await task) for task in following] == [1, 50, 50]


async def test_followers_end_with_the_store(database_url: str) -> None:
    run_id = uuid4()
    async with open_store(database_url) as store:
        store.journal.append(run_id, "said", "x")
        following = asyncio.create_task(collect(store.journal, run_id, 2))
        await store.journal.flush()
    assert len(await following) == 1


async def test_a_cancelled_follower_disturbs_nobody(store: Store) -> None:
    run_id = uuid4()
    following = asyncio.create_task(collect(store.journal, run_id, 1))
    await asyncio.sleep(0)
    following.cancel()
    await asyncio.wait([following])
    store.journal.append(run_id, "said", "x")
    assert len(await collect(store.journal, run_id, 1)) == 1


def entry(seq: int, body: str = "x") -> Entry:
    return Entry(seq, datetime.now(UTC), "said", body)


async def test_what_is_handed_over_is_taken_only_if_it_follows_on() -> None:
    follower = JournalFollower(after=2)
    follower.offer([entry(3), entry(4)])
    assert [each.seq for each in follower.take()] == [3, 4]
    follower.offer([entry(4)])
    assert follower.take() == []
    follower.offer([entry(3), entry(5)])
    assert follower.take() == []


async def test_a_slow_reader_costs_no_memory() -> None:
    follower = JournalFollower(after=0)
    for seq in range(1, 40):
        follower.offer([entry(seq, "x" * (OFFERED_CHARACTERS // 10))])
    assert follower.take() == []
    follower.offer([entry(1)])
    assert len(follower.take()) == 1
