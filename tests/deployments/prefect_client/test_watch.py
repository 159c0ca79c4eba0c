"""A watch outlives every answer of what it looks at, logs it, and knows how old its last good look is."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx
import pytest
from prefect.exceptions import Abort, ObjectNotFound
from waiting import until

from deployments.prefect_client.watch import Watches

pytestmark = pytest.mark.anyio

FAILURES = [
    ObjectNotFound(http_exc=ValueError("404")),
    httpx.ReadError("cut"),
    KeyError("results"),
    Abort("the run is over"),
    asyncio.CancelledError("of a library's own scope"),
    TimeoutError(),
    OSError(28, "No space left on device"),
]


class Looked:
    """Something that fails as it is told to."""

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        self.count = 0

    async def look(self) -> None:
        self.count += 1
        if self.failure is not None:
            raise self.failure


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
async def test_no_failure_ends_it(failure: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    looked = Looked()
    looked.failure = failure
    watch = Watches().add("pauses", looked.look, lambda: 0.001)
    async with watch.repeating():
        await until(lambda: looked.count >= 3, "it looks on")
        assert watch.age_seconds > 0
        looked.failure = None
        await until(lambda: "the look succeeds again" in caplog.text, "it says so")
    lines = [record.getMessage() for record in caplog.records if "the look failed" in record.getMessage()]
    assert len(lines) == 1, "a failure that lasts is one line"
    assert type(failure).__name__ in lines[0]


async def test_the_age_grows_from_the_beginning_of_the_last_good_look() -> None:
    watches, looked = Watches(), Looked()
    now = 100.0
    watch = watches.add("pauses", looked.look, lambda: 0.001)
    watch._now = lambda: now
    await watch.look()
    now = 130.0
    assert watches.ages() == {"pauses": 30.0}
    looked.failure = OSError("away")
    with pytest.raises(OSError, match="away"):
        await watch.look()
    assert watches.ages() == {"pauses": 30.0}


async def test_its_end_is_its_owner_s(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    asleep = asyncio.Event()

    async def look() -> None:
        asleep.set()
        await asyncio.Event().wait()

    watch: Any = Watches().add("pauses", look, lambda: 0.001)
    async with watch.repeating():
        await asleep.wait()
    assert caplog.records == []
