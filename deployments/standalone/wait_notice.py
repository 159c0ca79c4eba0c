"""Says what a start waits for, once that takes longer than people like to wait in silence."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from typing import TypeVar

FIRST_SECONDS, THEN_SECONDS = 10.0, 30.0

T = TypeVar("T")


@contextmanager
def waiting_for(
    part: str, what: str, *, first_seconds: float = FIRST_SECONDS, then_seconds: float = THEN_SECONDS
) -> Iterator[None]:
    """While this is open for long, a line of stdout now and then says that `part` waits for `what`."""
    is_over = threading.Event()
    began = time.monotonic()

    def tell() -> None:
        pause_seconds = first_seconds
        while not is_over.wait(pause_seconds):
            print(f"{part} waits for {what} ({time.monotonic() - began:.0f} s so far)", flush=True)
            pause_seconds = then_seconds

    # not a timer of a loop: what takes long may well keep the loop from turning
    teller = threading.Thread(target=tell, name=f"{part} waits", daemon=True)
    teller.start()
    try:
        yield
    finally:
        is_over.set()
        teller.join()


@asynccontextmanager
async def opening(context: AbstractAsyncContextManager[T], part: str, what: str) -> AsyncIterator[T]:
    """The context itself; while it takes long to open, `part` waits for `what`."""
    async with AsyncExitStack() as stack:
        with waiting_for(part, what):
            opened = await stack.enter_async_context(context)
        yield opened
