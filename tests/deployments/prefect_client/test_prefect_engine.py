"""What we take away from the pinned Prefect is still where we look for it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from prefect import flow_engine

from deployments.prefect_client.engine import SUSPENSION, do_without_suspension, watch_children_without_threads


def test_no_run_is_watched_for_a_suspension(monkeypatch: pytest.MonkeyPatch) -> None:
    original: Any = getattr(flow_engine, SUSPENSION)
    assert isinstance(original("id", None), contextlib.AbstractContextManager)
    monkeypatch.setattr(flow_engine, SUSPENSION, original)
    do_without_suspension()
    with getattr(flow_engine, SUSPENSION)("id", None) as nothing:
        assert nothing is None
    assert getattr(flow_engine, SUSPENSION) is not original


def test_a_prefect_without_it_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(flow_engine, SUSPENSION)
    with pytest.raises(RuntimeError, match=r"3\.8\.8"):
        do_without_suspension()


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
