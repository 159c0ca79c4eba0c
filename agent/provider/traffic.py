"""Limits of one run at the proxy: its open calls, and the bytes of their requests that are in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

MB = 1024 * 1024
LONGEST_REQUEST_BYTES = 32 * MB
"""The longest request that the Messages API takes."""

RUN_REQUEST_BYTES = 2 * LONGEST_REQUEST_BYTES
"""Of all open calls of one run together; its helpers send a few hundred kilobytes each."""

RUN_OPEN_CALLS = 32
"""Each takes two descriptors, and a host may have 1,024 for ten runs."""


class RunTraffic:
    """The open calls of one run and their bytes; one per lease."""

    def __init__(self) -> None:
        self.open_calls = 0
        self.bytes = 0

    @contextmanager
    def call(self) -> Iterator[CallTraffic]:
        """Count one call and its bytes while it is open."""
        call = CallTraffic(self, is_admitted=self.open_calls < RUN_OPEN_CALLS)
        self.open_calls += 1
        try:
            yield call
        finally:
            self.open_calls -= 1
            self.bytes -= call.bytes


class CallTraffic:
    """The bytes of one call. `is_admitted` is False once it is to be refused, and `refusal` says why."""

    def __init__(self, run: RunTraffic, *, is_admitted: bool) -> None:
        self.bytes = 0
        self.is_admitted = is_admitted
        self.refusal = f"a run has at most {RUN_OPEN_CALLS} open calls"
        self._run = run

    def take(self, size: int) -> bool:
        """Count so many bytes more; False if they do not fit: then all of this call are to be forgotten."""
        if not self.is_admitted:
            return False
        if self._run.bytes + size > RUN_REQUEST_BYTES:
            self.is_admitted = False
            self.refusal = f"the open calls of a run have at most {RUN_REQUEST_BYTES} bytes together"
        fits = self.is_admitted and self.bytes + size <= LONGEST_REQUEST_BYTES
        change = size if fits else -self.bytes
        self.bytes += change
        self._run.bytes += change
        return fits
