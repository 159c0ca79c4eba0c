"""asyncio helpers: run to completion despite cancellation, background tasks, retry with backoff."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

_log = logging.getLogger(__name__)

T = TypeVar("T")


def backoff(first_seconds: float, most_seconds: float) -> Iterator[float]:
    """Yield pauses in seconds, for ever: the first one, then twice as long each time, up to the longest."""
    pause = first_seconds
    while True:
        yield min(pause, most_seconds)
        pause = min(2 * pause, most_seconds)


@asynccontextmanager
async def background_task(work: Coroutine[Any, Any, T], name: str | None = None) -> AsyncIterator[asyncio.Task[T]]:
    """Run `work` beside the body, and cancel it when the body ends.

    An error of `work` is logged, and does not end the body.
    """
    task = asyncio.create_task(work, name=name)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("background task %s failed: %r", task.get_name(), error)


async def run_to_completion(work: Coroutine[Any, Any, T]) -> T:
    """Finish `work` although the caller is cancelled; the cancellation is raised after it."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
    if cancelled is not None:
        raise cancelled
    return task.result()
