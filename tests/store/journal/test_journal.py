from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from store.database.database import Database
from store.journal import writer as journal_writer
from store.journal.batch import Batch
from store.journal.pending import Pending
from store.store import Store, open_store


async def test_events_are_numbered_from_one_in_the_order_they_came(store: Store) -> None:
    run_id, before = uuid4(), datetime.now(UTC)
    for number in range(700):
        store.journal.append(run_id, "said", f"\0 {number} 🦑")
    await store.journal.flush(run_id)
    entries = await store.journal.read(run_id, limit=1000)
    assert [entry.seq for entry in entries] == list(range(1, 701))
    assert [entry.body for entry in entries] == [f"\0 {number} 🦑" for number in range(700)]
    assert all(timedelta() <= entry.at - before < timedelta(minutes=1) for entry in entries)


async def test_a_reader_asks_for_a_page_past_what_it_has(store: Store) -> None:
    run_id = uuid4()
    for number in range(10):
        store.journal.append(run_id, "said", str(number))
    await store.journal.flush()
    assert [entry.seq for entry in await store.journal.read(run_id, after=4, limit=3)] == [5, 6, 7]
    assert await store.journal.read(run_id, after=10) == []
    assert await store.journal.read(uuid4()) == []


async def test_numbers_go_on_after_a_restart(database_url: str) -> None:
    run_id = uuid4()
    for body in ("first life", "second life"):
        async with open_store(database_url) as store:
            store.journal.append(run_id, "said", body)
    async with open_store(database_url) as store:
        entries = await store.journal.read(run_id)
    assert [(entry.seq, entry.body) for entry in entries] == [(1, "first life"), (2, "second life")]


async def test_several_writers_of_one_run_share_its_numbers(database_url: str) -> None:
    run_id = uuid4()
    async with open_store(database_url) as one, open_store(database_url) as other:
        for number in range(200):
            (one, other)[number % 2].journal.append(run_id, "said", str(number))
            if number % 10 == 0:
                await asyncio.gather(one.journal.flush(), other.journal.flush())
        await asyncio.gather(one.journal.flush(), other.journal.flush())
        entries = await one.journal.read(run_id)
    assert [entry.seq for entry in entries] == list(range(1, 201))
    assert {int(entry.body) for entry in entries} == set(range(200))
    for parity in (0, 1):
        own = [int(entry.body) for entry in entries if int(entry.body) % 2 == parity]
        assert own == sorted(own)


async def test_any_thread_may_append(store: Store) -> None:
    run_id = uuid4()

    def work() -> None:
        for number in range(100):
            store.journal.append(run_id, "said", str(number))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    await asyncio.gather(*(asyncio.to_thread(thread.join) for thread in threads))
    await store.journal.flush(run_id)
    assert [entry.seq for entry in await store.journal.read(run_id)] == list(range(1, 401))


async def test_what_was_appended_is_written_without_being_asked(store: Store) -> None:
    run_id = uuid4()
    store.journal.append(run_id, "said", "x")
    async with asyncio.timeout(10), aclosing(store.journal.follow(run_id)) as events:
        assert (await anext(events)).body == "x"


async def test_nobody_waits_to_flush_a_run_that_has_nothing_waiting(store: Store) -> None:
    await store.journal.flush(uuid4())
    await store.journal.flush()


async def test_sixteen_runs_at_once_leave_the_event_loop_its_time(store: Store) -> None:
    run_ids = [uuid4() for _ in range(16)]
    for number in range(300):
        for run_id in run_ids:
            store.journal.append(run_id, "text_delta", str(number))
        await asyncio.sleep(0)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await store.journal.flush()
    ticking.cancel()
    assert ticks > 100  # at least a few turns for others in each batch of 4,800 events
    for run_id in run_ids:
        assert [entry.seq for entry in await store.journal.read(run_id)] == list(range(1, 301))


async def test_a_batch_whose_commit_came_through_unheard_is_not_written_again(store: Store, database_url: str) -> None:
    run_id, database = uuid4(), Database(database_url)
    batch = Batch([Pending(run_id, "said", body) for body in "abc"])
    assert await batch.write(database) == await batch.write(database)
    assert [entry.body for entry in await store.journal.read(run_id)] == ["a", "b", "c"]
    await database.close()


async def test_what_the_database_refuses_becomes_a_gap_and_holds_up_nobody(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_writer, "RETRY_SECONDS", 0.01)
    run_id, other = uuid4(), uuid4()
    store.journal.append(run_id, None, "no type")  # type: ignore[arg-type]
    await store.journal.flush()
    store.journal.append(other, "said", "x")
    await store.journal.flush()
    assert [(entry.type, entry.body) for entry in await store.journal.read(run_id)] == [("gap", '{"dropped": 1}')]
    assert [entry.body for entry in await store.journal.read(other)] == ["x"]
