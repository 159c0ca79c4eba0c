"""Looks at Prefect and the store that are repeated as long as the host runs, and the age of the last good one."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from prefect.exceptions import PrefectSignal

from agent.system.concurrency import background_task
from agent.system.text import shorten_cause

LOOK_SECONDS = 120.0
"""A look that takes longer is given up, and the next one is tried."""

_REMIND_SECONDS = 600.0
"""A failure that lasts is logged again this often."""

_log = logging.getLogger(__name__)


class Watch:
    """One look, repeated; made by `Watches.add`, runs while `repeating` is open.

    No answer and no error of the look ends it: a watch that is gone is found out only when it was needed.
    """

    def __init__(
        self,
        name: str,
        look: Callable[[], Awaitable[object]],
        every_seconds: Callable[[], float],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._look = look
        self._every_seconds = every_seconds
        self._now = now
        self._good_at = now()
        self._failing_since: float | None = None
        self._logged_at = float("-inf")

    @property
    def age_seconds(self) -> float:
        """The time since the last look that succeeded; before the first, since the start."""
        return self._now() - self._good_at

    @asynccontextmanager
    async def repeating(self) -> AsyncIterator[None]:
        """Look again and again while this is open, for the first time after one pause."""
        async with background_task(self._repeat(), f"watch of {self.name}"):
            yield

    async def look(self) -> None:
        """Look once, now; an error is raised."""
        began = self._now()
        await self._look()
        self._succeed(began)

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(self._every_seconds())
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self.look()
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                self._fail(error)  # a library's own cancellation, and not the end of this watch
            except (Exception, PrefectSignal) as error:
                self._fail(error)

    def _succeed(self, began: float) -> None:
        # what was true when the look began; later it may have changed
        self._good_at = began
        if self._failing_since is not None:
            seconds = self._now() - self._failing_since
            _log.warning("watch of %s: the look succeeds again, after %.0f s", self.name, seconds)
            self._failing_since, self._logged_at = None, float("-inf")

    def _fail(self, error: BaseException) -> None:
        now = self._now()
        if self._failing_since is None:
            self._failing_since = now
        if now - self._logged_at >= _REMIND_SECONDS:
            self._logged_at = now
            cause = shorten_cause(str(error)) or type(error).__name__
            _log.warning(
                "watch of %s: the look failed, it is tried again; the last good one is %.0f s old: %s: %s",
                self.name,
                self.age_seconds,
                type(error).__name__,
                cause,
            )


class Watches:
    """The watches of one host, made with it; /health, /metrics and doctor show their ages."""

    def __init__(self) -> None:
        self._watches: dict[str, Watch] = {}

    def add(self, name: str, look: Callable[[], Awaitable[object]], every_seconds: Callable[[], float]) -> Watch:
        """Make the watch of that name, which `ages` lists from now on."""
        watch = self._watches[name] = Watch(name, look, every_seconds)
        return watch

    def ages(self) -> dict[str, float]:
        """Return the seconds since the last good look of each watch, by its name."""
        return {name: watch.age_seconds for name, watch in self._watches.items()}
