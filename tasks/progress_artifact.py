"""Shows the progress of a long run as a Prefect artifact."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

from prefect.artifacts import acreate_progress_artifact, aupdate_progress_artifact

from agent.domain.values import Frozen

# most runs are over before that, and cost no call to Prefect
AFTER_SECONDS = 30.0
EVERY_SECONDS = 10.0
_CALL_SECONDS = 5.0

_log = logging.getLogger(__name__)


class Progress(Frozen):
    """The progress at one moment: the bar, and the text below it."""

    percent: float
    text: str


@asynccontextmanager
async def shown_live(
    look: Callable[[], Progress], after_seconds: float = AFTER_SECONDS, every_seconds: float = EVERY_SECONDS
) -> AsyncIterator[None]:
    """Show the progress that `look` returns while the block runs: after `after_seconds`, then whenever it has changed.

    It never makes the run fail or wait: a call that Prefect does not answer is given up.
    """
    live = _Live(look)
    task = asyncio.create_task(live.keep(after_seconds, every_seconds))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        live.leave()


class _Live:
    def __init__(self, look: Callable[[], Progress]) -> None:
        self._look = look
        self._artifact: UUID | None = None
        self._shown: Progress | None = None

    async def keep(self, after_seconds: float, every_seconds: float) -> None:
        pause = after_seconds
        while True:
            await asyncio.sleep(pause)
            await self._show(self._look())
            pause = every_seconds

    def leave(self) -> None:
        """Show the last progress in the background, if any was shown before."""
        if self._artifact is not None:
            task = asyncio.create_task(self._show(self._look()))
            _last.add(task)
            task.add_done_callback(_last.discard)

    async def _show(self, progress: Progress) -> None:
        if progress == self._shown:
            return
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                if self._artifact is None:
                    self._artifact = await acreate_progress_artifact(progress.percent, description=progress.text)
                else:
                    await aupdate_progress_artifact(self._artifact, progress.percent, progress.text)
            self._shown = progress
        except Exception as error:
            _log.debug("the progress could not be shown: %s", error)


_last: set[asyncio.Task[None]] = set()
"""Keeps references: asyncio may collect a task that has none."""
