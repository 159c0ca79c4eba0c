"""Ctrl-C: cancels the job that the command started."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx

from cli.client.retries import insist
from cli.display.job_view import View


class InterruptHandler:
    """Cancels the job at the first Ctrl-C, and leaves at the second; one per followed job."""

    def __init__(self, service: httpx.Client, job_id: str) -> None:
        self._service = service
        self._job_id = job_id
        self._times = 0

    def __call__(self, view: View) -> bool:
        self._times += 1
        if self._times > 1:
            view.note(f"left; `agent-service watch {self._job_id}` follows the job")
            return False
        view.note("asking the service to cancel the job; Ctrl-C again leaves at once")
        try:
            insist(
                lambda: self._service.post(f"/jobs/{self._job_id}/cancel"),
                lambda trouble: view.tell(f"cannot be cancelled yet: {trouble}; trying again"),
            )
        except KeyboardInterrupt:
            return self(view)
        view.tell("is being cancelled")
        return True


@contextmanager
def held_signals() -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C back until the given function is called: by then there is a job to cancel.

    SIGTERM does the same: ending this command is meant to end its job.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    held = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield lambda: _release(held)
    finally:
        _release(held)
        signal.signal(signal.SIGTERM, before)


def _release(held: set[signal.Signals]) -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, held)
