"""What we take away from the pinned Prefect is still where we look for it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from prefect import flow_engine

from deployments.prefect_client.engine import watch_children_without_threads
from deployments.prefect_client.engine_changes import LEASE, PROPOSAL, SUSPENSION, adapt_engine


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine is as it was after each test."""
    for name in (SUSPENSION, LEASE, PROPOSAL):
        monkeypatch.setattr(flow_engine, name, getattr(flow_engine, name))


def test_no_run_is_watched_for_a_suspension() -> None:
    original: Any = getattr(flow_engine, SUSPENSION)
    assert isinstance(original("id", None), contextlib.AbstractContextManager)
    adapt_engine()
    with getattr(flow_engine, SUSPENSION)("id", None) as nothing:
        assert nothing is None
    assert getattr(flow_engine, SUSPENSION) is not original


@pytest.mark.parametrize("name", [SUSPENSION, LEASE, PROPOSAL])
def test_a_prefect_without_a_name_that_is_changed_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(flow_engine, name)
    with pytest.raises(RuntimeError, match=r"3\.8\.8"):
        adapt_engine()


def test_children_are_heard_of_without_a_thread_each() -> None:
    before = asyncio.get_child_watcher()
    loop = asyncio.new_event_loop()
    try:
        watch_children_without_threads(loop)

        async def run() -> int:
            process = await asyncio.create_subprocess_exec("sh", "-c", "exit 7")
            return await process.wait()

        assert loop.run_until_complete(asyncio.wait_for(run(), 20)) == 7
    finally:
        asyncio.set_child_watcher(before)
        loop.close()
