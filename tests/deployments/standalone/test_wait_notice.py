"""A start says what it waits for, and only if that takes long."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from deployments.standalone.wait_notice import opening, waiting_for


def test_what_takes_long_is_told_and_told_again(capsys: pytest.CaptureFixture[str]) -> None:
    said = ""
    deadline = time.monotonic() + 10
    with waiting_for("prefect", "its server", first_seconds=0.01, then_seconds=0.02):
        while said.count("\n") < 2 and time.monotonic() < deadline:
            said += capsys.readouterr().out
    assert said.startswith("prefect waits for its server (0 s so far)\nprefect waits for its server (")


def test_what_is_quick_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OSError, match="away"), waiting_for("host", "its store"):
        raise OSError("away")
    assert capsys.readouterr().out == ""


@pytest.mark.anyio
async def test_only_the_opening_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    closed = []

    @asynccontextmanager
    async def store() -> AsyncIterator[str]:
        yield "the store"
        closed.append(True)

    async with opening(store(), "host", "its store") as opened:
        assert (opened, closed) == ("the store", [])
    assert closed == [True]
    assert capsys.readouterr().out == ""
