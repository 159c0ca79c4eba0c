from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from sqlalchemy import insert, text

from store.database.database import Database
from store.database.schema import outcomes
from store.store import Store, open_store


async def test_an_outcome_of_6_mb_comes_back_whole(store: Store) -> None:
    run_id, body = uuid4(), "\0result 🦑" * 600_000
    await store.outcomes.save(run_id, body)
    assert await store.outcomes.load(run_id) == body


async def test_the_last_outcome_of_a_run_is_the_one_that_counts(store: Store) -> None:
    run_id = uuid4()
    await store.outcomes.save(run_id, "first", "first summary")
    await store.outcomes.save(run_id, "second", "second summary")
    assert await store.outcomes.load(run_id) == "second"
    assert await store.outcomes.load_many([run_id]) == {run_id: "second summary"}


async def test_a_run_without_outcome_has_none(store: Store) -> None:
    assert await store.outcomes.load(uuid4()) is None


async def test_a_listing_has_the_summaries_of_the_runs_that_have_one(store: Store) -> None:
    summarised, bare = uuid4(), uuid4()
    await store.outcomes.save(summarised, "body", "summary")
    await store.outcomes.save(bare, "body")
    strangers = [uuid4() for _ in range(1200)]
    assert await store.outcomes.load_many([bare, *strangers, summarised]) == {summarised: "summary"}


async def test_one_of_ten_thousand_outcomes_is_found_by_an_index(database_url: str, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    rows = [{"run_id": uuid4(), "saved_at": now, "summary": "s", "body": "b" * 300} for _ in range(10_000)]
    async with open_store(database_url) as store:
        database = Database(database_url)
        await database.write(lambda connection: connection.execute(insert(outcomes), rows))
        if database.is_sqlite:
            query = text("EXPLAIN QUERY PLAN SELECT body FROM store_outcomes WHERE run_id = 'x'")
            plan = await database.read(lambda connection: connection.execute(query))
            assert "USING INDEX" in str(plan.all())
        await database.close()
        for row in rows[::5000]:
            assert await store.outcomes.load(row["run_id"]) == row["body"]
