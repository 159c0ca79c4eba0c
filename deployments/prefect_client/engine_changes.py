"""Changes to the engine of the pinned Prefect in this process: no suspension, leases that end nothing, guarded ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from http import HTTPStatus
from typing import Any
from uuid import UUID

from prefect import flow_engine
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError, PrefectSignal
from prefect.utilities.engine import propose_state

from agent.system.concurrency import background_task

SUSPENSION = "observe_flow_run_suspension"
"""In Prefect 3.8.8 each run of a deployment starts a thread with a websocket; the event loop waits for it at the start
and at the end of the run, 50 to 700 ms each time. None of our flows uses Prefect's suspension."""

LEASE = "amaintain_concurrency_lease"
"""Prefect's own renews a run's concurrency lease three times within 12 seconds, then crashes the healthy run."""

PROPOSAL = "propose_state"
"""The call by which the engine sets each state of a run. Prefect takes Completed from a run that it has as Crashed."""

_RENEWALS_PER_LEASE = 3
_RENEWAL_RETRY_SECONDS = 5.0
_GONE = (HTTPStatus.GONE, HTTPStatus.NOT_FOUND)

Guard = Callable[[], Awaitable[None]]
"""Called before a run's state changes to one in which it does not run; raises Abort to keep the state it has."""

_guard: ContextVar[Guard | None] = ContextVar("end_guard", default=None)
_log = logging.getLogger(__name__)


def adapt_engine() -> None:
    """Change Prefect's engine in this process. Raises RuntimeError if it lacks one of the names."""
    for name, ours in ((SUSPENSION, _not_observed), (LEASE, keep_lease), (PROPOSAL, _propose_guarded)):
        if not hasattr(flow_engine, name):
            raise RuntimeError(f"prefect.flow_engine has no {name} any more; this service is for Prefect 3.8.8")
        setattr(flow_engine, name, ours)


@contextmanager
def guarding_end(guard: Guard) -> Iterator[None]:
    """While this is open, the engine calls `guard` before it ends the run of this asyncio task."""
    token = _guard.set(guard)
    try:
        yield
    finally:
        _guard.reset(token)


@asynccontextmanager
async def keep_lease(lease_id: UUID, lease_duration: float, *_prefects: Any, **_options: Any) -> AsyncIterator[None]:
    """Renew the lease while this is open; a lease that is lost is logged, and ends nothing."""
    async with background_task(_renew_for_ever(get_client(), lease_id, lease_duration), "concurrency lease"):
        yield


async def _renew_for_ever(client: PrefectClient, lease_id: UUID, seconds: float) -> None:
    pause_seconds, is_failing = 0.0, False
    while True:
        await asyncio.sleep(pause_seconds)
        pause_seconds = seconds / _RENEWALS_PER_LEASE
        try:
            async with asyncio.timeout(pause_seconds):
                await client.renew_concurrency_lease(lease_id, seconds)
        except (Exception, PrefectSignal) as error:
            if _is_gone(error):
                # the work is under way and paid for; what is lost is that the limit counts it
                _log.warning("Prefect has lost a concurrency lease; the run goes on, and the limit may be exceeded")
                return
            _log.log(
                logging.DEBUG if is_failing else logging.WARNING, "a concurrency lease is not renewed yet: %r", error
            )
            pause_seconds, is_failing = min(_RENEWAL_RETRY_SECONDS, pause_seconds), True
        else:
            is_failing = False


def _is_gone(error: BaseException) -> bool:
    if isinstance(error, ObjectNotFound):
        return True
    return isinstance(error, PrefectHTTPStatusError) and error.response.status_code in _GONE


async def _propose_guarded(
    client: PrefectClient, state: State[Any], flow_run_id: UUID, force: bool = False
) -> State[Any]:
    guard = _guard.get()
    if guard is not None and not (state.is_running() or state.is_pending()):
        await guard()
    return await propose_state(client, state, flow_run_id=flow_run_id, force=force)


@contextlib.contextmanager
def _not_observed(*_arguments: Any) -> Iterator[None]:
    yield
