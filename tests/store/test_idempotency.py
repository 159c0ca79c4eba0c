from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from store import idempotency
from store.database.database import Database
from store.idempotency import Idempotency, KeyClaim
from store.store import Store


@pytest.fixture
def scope() -> str:
    return uuid4().hex


async def test_the_first_caller_has_the_key_and_the_others_learn_whose_it_is(store: Store, scope: str) -> None:
    run_id = uuid4()
    assert await store.idempotency.claim(scope, "key", "hash") == KeyClaim(True, "hash", None)
    assert await store.idempotency.claim(scope, "key", "other hash") == KeyClaim(False, "hash", None)
    assert await store.idempotency.settle(scope, "key", run_id)
    assert await store.idempotency.claim(scope, "key", "hash", uuid4()) == KeyClaim(False, "hash", run_id)


async def test_a_key_given_back_is_free_again(store: Store, scope: str) -> None:
    claim = await store.idempotency.claim(scope, "key", "hash")
    await store.idempotency.release(scope, "key", claim)
    assert (await store.idempotency.claim(scope, "key", "new hash")).fresh


async def test_a_release_takes_nobody_elses_claim(store: Store, scope: str, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = await store.idempotency.claim(scope, "key", "hash")
    monkeypatch.setattr(idempotency, "UNSETTLED_LIFETIME", timedelta())
    assert (await store.idempotency.claim(scope, "key", "hash")).fresh
    monkeypatch.undo()
    await store.idempotency.release(scope, "key", slow)
    assert not (await store.idempotency.claim(scope, "key", "hash")).fresh


async def test_every_claim_of_a_key_names_the_same_run_until_the_key_expires(
    database_url: str, store: Store, scope: str
) -> None:
    first = await store.idempotency.claim(scope, "key", "hash")
    await store.idempotency.release(scope, "key", first)
    second = await store.idempotency.claim(scope, "key", "hash")
    assert second.fresh
    assert second.generation == first.generation is not None
    await store.idempotency.release(scope, "key", second)
    other = await store.idempotency.claim(scope, "key", "other hash")
    assert other.fresh
    assert other.generation != first.generation
    database = Database(database_url)
    expired = await Idempotency(database, hours=0).claim(scope, "key", "other hash")
    await database.close()
    assert expired.fresh
    assert expired.generation not in (first.generation, other.generation)


async def test_the_same_key_in_another_scope_is_another_key(store: Store, scope: str) -> None:
    assert (await store.idempotency.claim(scope + "a", "b", "hash")).fresh
    assert (await store.idempotency.claim(scope, "ab", "hash")).fresh
    assert (await store.idempotency.claim(scope, "x" * 100_000, "hash")).fresh
    assert (await store.idempotency.claim(scope, "line\nline\0\udc80", "hash")).fresh
    assert not (await store.idempotency.claim(scope, "line\nline\0\udc80", "hash")).fresh


async def test_a_key_is_forgotten_after_its_time(database_url: str, store: Store, scope: str) -> None:
    run_id = uuid4()
    await store.idempotency.claim(scope, "key", "hash", uuid4())
    database = Database(database_url)
    forgetful = Idempotency(database, hours=0)
    assert await forgetful.claim(scope, "key", "new hash", run_id) == KeyClaim(True, "new hash", run_id)
    await database.close()
    assert await store.idempotency.claim(scope, "key", "new hash") == KeyClaim(False, "new hash", run_id)


async def test_a_claim_whose_claimer_died_lapses_soon(
    store: Store, scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.idempotency.claim(scope, "key", "hash")
    monkeypatch.setattr(idempotency, "UNSETTLED_LIFETIME", timedelta())
    second = uuid4()
    assert (await store.idempotency.claim(scope, "key", "hash")).fresh
    assert await store.idempotency.settle(scope, "key", second)
    assert not await store.idempotency.settle(scope, "key", uuid4())
    assert await store.idempotency.claim(scope, "key", "hash") == KeyClaim(False, "hash", second)
