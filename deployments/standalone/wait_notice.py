"""Logs what a slow start is waiting for."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from typing import TypeVar

FIRST_NOTICE_SECONDS, NOTICE_INTERVAL_SECONDS = 10.0, 30.0

T = TypeVar("T")


@contextmanager
def waiting_for(
    part: str, what: str, *, first_seconds: float = FIRST_NOTICE_SECONDS, then_seconds: float = NOTICE_INTERVAL_SECONDS
) -> Iterator[None]:
    """Print a line that `part` waits for `what`, again and again, while this is open for long."""
    is_over = threading.Event()
    began = time.monotonic()

    def print_notices() -> None:
        pause_seconds = first_seconds
        while not is_over.wait(pause_seconds):
            print(f"{part} waits for {what} ({time.monotonic() - began:.0f} s so far)", flush=True)
            pause_seconds = then_seconds

    # a thread: the slow part may block the event loop
    printer = threading.Thread(target=print_notices, name=f"{part} waits", daemon=True)
    printer.start()
    try:
        yield
    finally:
        is_over.set()
        printer.join()


@asynccontextmanager
async def opening(context: AbstractAsyncContextManager[T], part: str, what: str) -> AsyncIterator[T]:
    """Open `context` and print notices while that takes long."""
    async with AsyncExitStack() as stack:
        with waiting_for(part, what):
            opened = await stack.enter_async_context(context)
        yield opened
