"""One job per Idempotency-Key: over midnight, over its expiry, and when Prefect queues a run without an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from uuid import UUID, uuid4

import pytest
from starlette.requests import Request

from api.jobs.idempotency import submit_once
from api.jobs.request import JobRequest
from deployments.host.host import Host
from deployments.prefect_client.calls import PrefectUnavailable
from store.store import Store, open_store

BODY = JobRequest(prompt="hi", agent="x")
KEY = [(b"idempotency-key", b"deploy-4711"), (b"authorization", b"Bearer t")]


class Prefect:
    """Queues one run per key, as Prefect does; it can fail to answer."""

    def __init__(self) -> None:
        self.runs: dict[str | None, UUID] = {}
        self.is_silent = False

    async def submit(self, key: str | None) -> UUID:
        run_id = self.runs.setdefault(key, uuid4())
        if self.is_silent:
            raise PrefectUnavailable("no answer within 2.5 s")
        return run_id


@pytest.fixture(params=[24.0])
async def store(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path}/store.sqlite3", idempotency_hours=request.param) as store:
        yield store


async def ask(store: Store, prefect: Prefect) -> UUID:
    host = cast(Host, SimpleNamespace(store=store))
    return await submit_once(host, Request({"type": "http", "headers": KEY}), BODY, prefect.submit)


async def test_a_run_that_was_queued_without_an_answer_is_the_keys_run(store: Store) -> None:
    prefect = Prefect()
    prefect.is_silent = True
    for _ in range(2):
        with pytest.raises(PrefectUnavailable):
            await ask(store, prefect)
    prefect.is_silent = False
    first = await ask(store, prefect)  # whatever the date is by now
    assert [first] == list(prefect.runs.values())
    assert await ask(store, prefect) == first


@pytest.mark.parametrize("store", [1e-9], indirect=True)
async def test_a_key_that_has_expired_is_a_new_one_to_prefect_too(store: Store) -> None:
    prefect = Prefect()
    first = await ask(store, prefect)
    assert await ask(store, prefect) != first
    assert len(prefect.runs) == 2
