"""Limits the number of waiting jobs."""

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
MAX_WRITERS = 4


class Admission:
    """Admits a job if a slot is free or fewer than MAX_QUEUE_DEPTH jobs wait; one per application.

    Prefect's count is late: a job that was admitted a moment ago may not be in it. Those are added, so that a burst is
    refused too early rather than too late. Requests that arrive together share one count.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._admitted = 0
        self._queued = 0
        self._answers = 0
        self._failures = 0
        self._counting: asyncio.Task[int] | None = None
        # Prefect writes one after the other: more at once would only make each slower, past its time limit
        self._writers = asyncio.Semaphore(MAX_WRITERS)

    @asynccontextmanager
    async def admit(self) -> AsyncIterator[None]:
        """Queue the job inside of this context. Raises AgentBusy, ApiError 429 or PrefectUnavailable."""
        waiting_before = await self._count()
        depth = self._host.settings.max_queue_depth
        if waiting_before + self._admitted >= depth + self._host.runtime.slots.free:
            raise _full(depth)
        self._admitted += 1
        try:
            async with self._writer():
                yield
        finally:
            self._queued += 1

    @asynccontextmanager
    async def _writer(self) -> AsyncIterator[None]:
        """Write to Prefect inside of this context, as one of MAX_WRITERS."""
        answers, failures = self._answers, self._failures
        async with self._writers:
            # nothing but failures while this one waited: fail too, instead of waiting for one more time limit
            if self._failures > failures and self._answers == answers:
                raise PrefectUnavailable("it did not answer the requests before this one")
            try:
                yield
                self._answers += 1
            except PrefectUnavailable:
                self._failures += 1
                raise

    async def _count(self) -> int:
        """Return Prefect's count of waiting jobs, without those that `_admitted` counts as well."""
        if self._counting is None:
            self._counting = asyncio.create_task(self._ask_prefect(self._queued))
            self._counting.add_done_callback(self._forget)
        return await asyncio.shield(self._counting)

    async def _ask_prefect(self, queued_before: int) -> int:
        # a job that was queued before the count began is in it, or has started since
        return await self._host.queue.count_due() - queued_before

    def _forget(self, _done: asyncio.Task[int]) -> None:
        self._counting = None


def _admission(request: Request) -> Admission:
    admission: Admission = request.app.state.admission
    return admission


AdmissionDep = Annotated[Admission, Depends(_admission)]


def _full(depth: int) -> Exception:
    if depth == 0:
        return AgentBusy()
    message = f"queue is full: {depth} jobs wait already (MAX_QUEUE_DEPTH); try again later"
    return ApiError(429, message, code="queue_full", headers={"retry-after": str(RETRY_SECONDS)})
