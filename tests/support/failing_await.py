"""A coroutine that fails at one of its awaits, whichever is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any


class FailingAwait:
    """Awaits `work`; when that suspends for the `number`th time it gets `error`, or is cancelled if that is None."""

    def __init__(self, work: Coroutine[Any, Any, Any], number: int, error: Exception | None) -> None:
        self._work = work
        self._number = number
        self._error = error
        self.has_failed = False

    def __await__(self) -> Generator[Any, Any, Any]:
        count = 0
        step, value = self._work.send, None
        while True:
            try:
                future = step(value)  # type: ignore[arg-type, operator]
            except StopIteration as end:
                return end.value
            count += 1
            if count == self._number:
                self.has_failed = True
                if self._error is None:
                    task = asyncio.current_task()
                    assert task is not None
                    task.cancel()
                else:
                    if future is not None:
                        future._asyncio_future_blocking = False  # nobody waits for it any more
                    step, value = self._work.throw, self._error  # type: ignore[assignment]
                    continue
            try:
                yield future
            except BaseException as error:
                step, value = self._work.throw, error  # type: ignore[assignment]
            else:
                step, value = self._work.send, None
