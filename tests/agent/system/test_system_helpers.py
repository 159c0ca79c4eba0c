"""Helpers of asyncio, of HTTP headers and of text that every layer uses."""

import asyncio
import itertools
import logging
from datetime import UTC, datetime

import pytest

from agent.system.concurrency import background_task, backoff
from agent.system.http import LONGEST_WAIT_SECONDS, retry_after_seconds
from agent.system.text import shorten, shorten_cause

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_pauses_double_up_to_the_longest_and_never_end() -> None:
    assert list(itertools.islice(backoff(0.5, 3), 5)) == [0.5, 1.0, 2.0, 3, 3]
    assert next(itertools.islice(backoff(1, 60), 5000, None)) == 60


async def test_a_background_task_ends_with_its_body_and_its_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ValueError("no such thing")

    async with background_task(asyncio.sleep(3600)) as task:
        assert not task.done()
    assert task.cancelled()
    with caplog.at_level(logging.ERROR):
        async with background_task(fail(), name="looking around"):
            await asyncio.sleep(0)
    assert "looking around failed: ValueError('no such thing')" in caplog.text


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("30", 30),
        ("0.5", 0.5),
        ("-1", 0),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60),
        ("Thursday, 01-Jan-26 00:01:00 GMT", 60),
        ("Wed, 31 Dec 2025 00:01:00 GMT", 0),
        ("1e300", LONGEST_WAIT_SECONDS),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_WAIT_SECONDS),
        ("inf", None),
        ("nan", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(value, NOW) == seconds


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("short", "short", "short"),
        ("0123456789", "0123456789", "0123456789"),
        ("0123456789x", "012345678…", "…23456789x"),
        (" a \n\t b\x1b ", "a b", "a b"),
        ("a" + " " * 100 + "b", "a…", "…b"),
    ],
)
def test_text_is_cut_at_one_end(text: str, start: str, end: str) -> None:
    assert shorten(text, 10) == start
    assert shorten(text, 10, keep="end") == end
    assert len(shorten_cause("x" * 10_000)) == 200
