"""How many jobs may wait, counted without letting a burst slip past the count."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, Request

from agent.domain.errors import AgentBusy
from api.http.errors import ApiError
from deployments.host.host import Host
from deployments.prefect_client.calls import PrefectUnavailable

RETRY_SECONDS = 30
AT_ONCE = 4


class Admission:
    """Admits a job if it finds a free slot, or room to wait.

    Prefect's count is late: a job admitted here a moment ago may not be in it. Those are added, so that a burst can
    only be refused too early, never too late. Requests that come together share one count.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._admitted = 0
        self._queued = 0
        self._answers = 0
        self._failures = 0
        self._counting: asyncio.Task[int] | None = None
        # more at once would only make each of them slower, past the time that Prefect has for an answer
        self._writers = asyncio.Semaphore(AT_ONCE)

    @asynccontextmanager
    async def admit(self) -> AsyncIterator[None]:
        """Queue the job in here; raises AgentBusy where nothing may wait, else 429, or PrefectUnavailable."""
        waiting_before = await self._count()
        depth = self._host.settings.max_queue_depth
        if waiting_before + self._admitted >= depth + self._host.runtime.slots.free:
            raise _full(depth)
        self._admitted += 1
        try:
            async with self._turn():
                yield
        finally:
            self._queued += 1

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """A turn to talk to Prefect; whoever has seen nobody but failures while in line shares the last one."""
        answers, failures = self._answers, self._failures
        async with self._writers:
            if self._failures > failures and self._answers == answers:
                raise PrefectUnavailable("it did not answer the requests before this one")
            try:
                yield
                self._answers += 1
            except PrefectUnavailable:
                self._failures += 1
                raise

    async def _count(self) -> int:
        """The jobs that wait by Prefect's count, less those that are in `_admitted` as well."""
        if self._counting is None:
            self._counting = asyncio.create_task(self._ask(self._queued))
            self._counting.add_done_callback(self._forget)
        return await asyncio.shield(self._counting)

    async def _ask(self, queued_before: int) -> int:
        # whatever was queued before the count began is in it, or has started since
        return await self._host.waiting_jobs() - queued_before

    def _forget(self, _done: asyncio.Task[int]) -> None:
        self._counting = None


def _admission(request: Request) -> Admission:
    admission: Admission = request.app.state.admission
    return admission


AdmissionDep = Annotated[Admission, Depends(_admission)]


def _full(depth: int) -> Exception:
    if depth == 0:
        return AgentBusy()
    message = f"queue is full: {depth} jobs wait already; try again later"
    return ApiError(429, message, code="queue_full", headers={"retry-after": str(RETRY_SECONDS)})
