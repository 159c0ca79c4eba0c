from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from store.errors import InputMissing
from store.store import Store, Trimmed, open_store


@pytest.fixture
async def own_store(empty_database_url: str) -> AsyncIterator[Store]:
    async with open_store(empty_database_url) as opened:
        yield opened


async def test_trimming_takes_idle_journals_and_keeps_the_records(own_store: Store) -> None:
    idle, busy = uuid4(), uuid4()
    for run_id in (idle, busy):
        own_store.journal.append(run_id, "said", "early")
    await own_store.journal.flush()
    moment = datetime.now(UTC)
    own_store.journal.append(busy, "said", "late")
    await own_store.journal.flush()
    await own_store.outcomes.save(idle, "outcome")
    assert await own_store.trim(moment) == Trimmed(events=1, claims=0, outcomes=0, inputs=0)
    assert await own_store.journal.read(idle) == []
    assert [entry.body for entry in await own_store.journal.read(busy)] == ["early", "late"]
    assert await own_store.outcomes.load(idle) == "outcome"


async def test_records_are_trimmed_when_their_age_is_named(own_store: Store) -> None:
    run_ids = [uuid4() for _ in range(120)]
    for run_id in run_ids:
        await own_store.outcomes.save(run_id, "old")
    old_input = await own_store.inputs.save("old")
    moment = datetime.now(UTC)
    await own_store.outcomes.save(run_ids[0], "new")
    trimmed = await own_store.trim(moment, records_older_than=moment)
    assert trimmed == Trimmed(events=0, claims=0, outcomes=119, inputs=1)
    assert await own_store.outcomes.load(run_ids[0]) == "new"
    with pytest.raises(InputMissing):
        await own_store.inputs.load(old_input)


async def test_claims_are_trimmed_at_their_own_age(empty_database_url: str) -> None:
    async with open_store(empty_database_url) as store:
        await store.idempotency.claim("scope", "key", "hash", uuid4())
        assert (await store.trim(datetime.now(UTC) + timedelta(hours=1))).claims == 0
    async with open_store(empty_database_url, idempotency_hours=0) as store:
        assert (await store.trim(datetime.now(UTC))).claims == 1
